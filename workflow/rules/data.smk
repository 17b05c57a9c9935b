rule download:
    output:
        "data/raw/{dataset}.tar",
        "data/raw/{dataset}.json",
    log:
        "logs/download/{dataset}.log",
    benchmark:
        "logs/benchmark/download/{dataset}.tsv"
    resources:
        mem_mb=growing(1000),
        runtime=growing(720),
    params:
        code=code("download"),
        source=of_source,
        contents=contents_of,
    shell:
        "sslpipe download {wildcards.dataset} 2>&1 | tee {log}"


rule subset:
    input:
        "data/raw/{dataset}.tar",
    output:
        "data/packed/{dataset}.npy",
        "data/packed/{dataset}.csv",
        "data/packed/{dataset}.json",
        "data/notes/{dataset}.json",
    log:
        "logs/subset/{dataset}.log",
    benchmark:
        "logs/benchmark/subset/{dataset}.tsv"
    threads: CORES
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        code=code("subset"),
        image_size=config["image_size"],
        dataset=of_dataset,
        # here too: the tar may be gone, and then nothing asks what it would be made of
        contents=contents_of,
    shell:
        "sslpipe subset {wildcards.dataset} 2>&1 | tee {log}"


# One small file with the content hashes of all that a training reads. It is made from every scored set
# too, so that no image that is scored anywhere can be trained on.
rule corpus:
    input:
        lambda wildcards: expand(
            ["data/packed/{dataset}.{suffix}", "data/notes/{dataset}.json"],
            dataset=dict.fromkeys(
                config["corpora"][wildcards.corpus]["datasets"]
                + config["leaderboard"]
                + config["pretrain"]["online"]["datasets"]
            ),
            suffix=["npy", "csv", "json"],
        ),
    output:
        "data/corpora/{corpus}.json",
        "reports/data/{corpus}.md",
        "reports/data/{corpus}.json",
    log:
        "logs/corpus/{corpus}.log",
    benchmark:
        "logs/benchmark/corpus/{corpus}.tsv"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        code=code("corpus"),
        corpus=settings("corpora", "{corpus}"),
        leaderboard=sorted(config["leaderboard"]),
        watched=config["pretrain"]["online"]["datasets"],
        image_size=config["image_size"],
    shell:
        "sslpipe corpus {wildcards.corpus} 2>&1 | tee {log}"
