# What the stages with many jobs depend on instead of a dozen modules each: an engine would look at
# every one of them for every job.
rule code:
    input:
        lambda wildcards: code(*CODE[wildcards.stage]),
    output:
        "data/code/{stage}.json",
    log:
        "logs/code/{stage}.log",
    benchmark:
        "logs/benchmark/code/{stage}.tsv"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    shell:
        "sslpipe code {wildcards.stage} 2>&1 | tee {log}"


rule pretrain:
    input:
        "data/code/pretrain.json",
        lambda wildcards: f"data/corpora/{config['runs'][wildcards.run]['corpus']}.json",
    output:
        "data/runs/{run}/encoder.safetensors",
        "reports/history/{run}.csv",
        "reports/pretrain/{run}.json",
    log:
        "logs/pretrain/{run}.log",
    benchmark:
        "logs/benchmark/pretrain/{run}.tsv"
    threads: threads_of
    resources:
        gpu=gpus,
        mem_mb=growing(12000),
        runtime=growing(1440),
    params:
        run=settings("runs", "{run}"),
        method=lambda wildcards: config["methods"][
            config["runs"][wildcards.run]["method"]
        ],
        pretrain=config["pretrain"],
        image_size=config["image_size"],
    shell:
        "sslpipe pretrain {wildcards.run} 2>&1 | tee {log}"
