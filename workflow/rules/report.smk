METRICS = expand("reports/metrics/{dataset}/{run}.json", dataset=SCORED, run=RUNS)
HISTORIES = expand("reports/history/{run}.csv", run=RUNS)
PRETRAIN_REPORTS = expand("reports/pretrain/{run}.json", run=RUNS)


rule leaderboard:
    input:
        code("reporting/leaderboard.py"),
        METRICS,
        PRETRAIN_REPORTS,
    output:
        "reports/leaderboard.md",
        "reports/leaderboard.csv",
        "reports/leaderboard.json",
    params:
        leaderboard=config["leaderboard"],
        runs=config["runs"],
    log:
        "logs/leaderboard.log",
    shell:
        "sslpipe leaderboard 2>&1 | tee {log}"


rule figures:
    input:
        code("reporting/figures.py"),
        METRICS,
        PRETRAIN_REPORTS,
        HISTORIES,
    output:
        "reports/figures/accuracy.png",
        "reports/figures/accuracy.svg",
        "reports/figures/loss.png",
        "reports/figures/loss.svg",
    params:
        leaderboard=config["leaderboard"],
        runs=config["runs"],
    log:
        "logs/figures.log",
    shell:
        "sslpipe figures 2>&1 | tee {log}"
