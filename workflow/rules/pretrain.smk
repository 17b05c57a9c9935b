def gpus(wildcards):
    """GPUs that a training asks for; where there are none, it runs in one process."""
    of_run = config["runs"][wildcards.run]
    wanted = of_run.get("gpus", config["pretrain"].get("gpus", 1))
    return min(wanted, GPUS)


rule pretrain:
    input:
        code("networks", "views", "methods", "training", "seeds.py"),
        lambda wildcards: f"data/corpora/{config['runs'][wildcards.run]['corpus']}.json",
    output:
        "data/runs/{run}/encoder.safetensors",
        "reports/history/{run}.csv",
        "reports/pretrain/{run}.json",
    log:
        "logs/pretrain/{run}.log",
    threads:
        lambda wildcards: config["runs"][wildcards.run].get(
            "threads", config["pretrain"].get("threads")
        )
        or CORES
    resources:
        gpu=gpus,
    params:
        run=settings("runs", "{run}"),
        method=lambda wildcards: config["methods"][
            config["runs"][wildcards.run]["method"]
        ],
        pretrain=config["pretrain"],
        image_size=config["image_size"],
    shell:
        "sslpipe pretrain {wildcards.run} 2>&1 | tee {log}"
