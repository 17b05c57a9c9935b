rule embed:
    input:
        "data/runs/{run}/encoder.safetensors",
        "data/packed/{dataset}.npy",
        "data/packed/{dataset}.csv",
        "data/notes/{dataset}.json",
    output:
        "data/embeddings/{run}/{dataset}.npz",
    log:
        "logs/embed/{run}_{dataset}.log",
    benchmark:
        "logs/benchmark/embed/{run}_{dataset}.tsv"
    threads: threads_of
    resources:
        gpu=1,
        mem_mb=growing(6000),
        runtime=growing(60),
    params:
        code=code("embed"),
    shell:
        "sslpipe embed {wildcards.run} {wildcards.dataset} 2>&1 | tee {log}"


rule evaluate:
    input:
        "data/embeddings/{run}/{dataset}.npz",
    output:
        "reports/metrics/{dataset}/{run}.json",
        "reports/predictions/{dataset}/{run}.npz",
        "reports/features/{dataset}/{run}.json",
    log:
        "logs/evaluate/{run}_{dataset}.log",
    benchmark:
        "logs/benchmark/evaluate/{run}_{dataset}.tsv"
    threads: threads_of
    resources:
        mem_mb=growing(6000),
        runtime=growing(120),
    params:
        code=code("evaluate"),
        evaluate=config["evaluate"],
    shell:
        "sslpipe evaluate {wildcards.run} {wildcards.dataset} 2>&1 | tee {log}"


rule finetune:
    input:
        "data/runs/{run}/encoder.safetensors",
        "data/packed/{dataset}.npy",
        "data/packed/{dataset}.csv",
        "data/notes/{dataset}.json",
    output:
        "reports/metrics/{dataset}/finetune/{run}.json",
        "reports/predictions/{dataset}/finetune/{run}.npz",
    log:
        "logs/finetune/{run}_{dataset}.log",
    benchmark:
        "logs/benchmark/finetune/{run}_{dataset}.tsv"
    threads: threads_of
    resources:
        gpu=1,
        mem_mb=growing(12000),
        runtime=growing(480),
    params:
        code=code("finetune"),
        finetune=config["finetune"],
        run=settings("runs", "{run}"),
        pretrain=config["pretrain"],
    shell:
        "sslpipe finetune {wildcards.run} {wildcards.dataset} 2>&1 | tee {log}"
