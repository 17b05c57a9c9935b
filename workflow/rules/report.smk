METRICS = expand("reports/metrics/{dataset}/{run}.json", dataset=SCORED, run=RUNS)
HISTORIES = expand("reports/history/{run}.csv", run=RUNS)
PRETRAIN_REPORTS = expand("reports/pretrain/{run}.json", run=RUNS)


rule describe:
    input:
        code("reporting/datasets.py", "reporting/markdown.py"),
        "data/packed/{dataset}.csv",
    output:
        "reports/data/{dataset}.md",
    log:
        "logs/describe/{dataset}.log",
    params:
        dataset=settings("datasets", "{dataset}"),
        image_size=config["image_size"],
        contact_sheets=config["contact_sheets"],
    shell:
        "sslpipe describe {wildcards.dataset} 2>&1 | tee {log}"


rule contact_sheet:
    input:
        code("reporting/contact_sheet.py", "reporting/markdown.py"),
        "data/packed/{dataset}.npy",
        "data/packed/{dataset}.csv",
    output:
        "reports/data/{dataset}.png",
    log:
        "logs/contact_sheet/{dataset}.log",
    shell:
        "sslpipe contact_sheet {wildcards.dataset} 2>&1 | tee {log}"


rule leaderboard:
    input:
        code("reporting/leaderboard.py"),
        METRICS,
        PRETRAIN_REPORTS,
    output:
        "reports/leaderboard.md",
        "reports/leaderboard.csv",
        "reports/leaderboard.json",
    log:
        "logs/leaderboard.log",
    params:
        leaderboard=config["leaderboard"],
        runs=config["runs"],
        evaluate=config["evaluate"],
    shell:
        "sslpipe leaderboard 2>&1 | tee {log}"


rule figures:
    input:
        code("reporting/figures.py"),
        HISTORIES,
    output:
        "reports/figures/accuracy.png",
        "reports/figures/accuracy.svg",
        "reports/figures/loss.png",
        "reports/figures/loss.svg",
    log:
        "logs/figures.log",
    params:
        leaderboard=config["leaderboard"],
        runs=config["runs"],
    shell:
        "sslpipe figures 2>&1 | tee {log}"
