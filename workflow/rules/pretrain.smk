rule pretrain:
    input:
        code(
            "stages/pretrain.py",
            "schema/training.py",
            "data/index.py",
            "data/corpus.py",
            "evaluation/features.py",
            "evaluation/knn.py",
            "evaluation/probe.py",
            "evaluation/scores.py",
            "networks",
            "views",
            "methods",
            "training",
            "seeds.py",
        ),
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
