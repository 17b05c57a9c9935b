rule pretrain:
    input:
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
        code=code("pretrain"),
        run=settings("runs", "{run}"),
        method=lambda wildcards: config["methods"][
            config["runs"][wildcards.run]["method"]
        ],
        pretrain=config["pretrain"],
        image_size=config["image_size"],
    shell:
        "sslpipe pretrain {wildcards.run} 2>&1 | tee {log}"
