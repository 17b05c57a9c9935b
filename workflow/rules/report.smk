FINETUNED = config["finetune"]["runs"]
METRICS = expand("reports/metrics/{dataset}/{run}.json", dataset=SCORED, run=RUNS)
METRICS += expand(
    "reports/metrics/{dataset}/finetune/{run}.json", dataset=SCORED, run=FINETUNED
)
PREDICTIONS = expand(
    "reports/predictions/{dataset}/{run}.npz", dataset=SCORED, run=RUNS
)
PREDICTIONS += expand(
    "reports/predictions/{dataset}/finetune/{run}.npz", dataset=SCORED, run=FINETUNED
)
FEATURES = expand("reports/features/{dataset}/{run}.json", dataset=SCORED, run=RUNS)
HISTORIES = expand("reports/history/{run}.csv", run=RUNS)
PRETRAIN_REPORTS = expand("reports/pretrain/{run}.json", run=RUNS)

DATA = expand(
    "reports/data/{dataset}.{suffix}",
    dataset=config["datasets"],
    suffix=["md", "json"],
)
DATA += expand("reports/data/{dataset}.png", dataset=config["contact_sheets"])
DATA += expand(
    "reports/data/{corpus}.{suffix}", corpus=config["corpora"], suffix=["md", "json"]
)
FIGURES = [
    "accuracy",
    "loss",
    "budget",
    "knn_k",
    "probe_grid",
    "feature_map",
    "confusion",
]


rule describe:
    input:
        "data/packed/{dataset}.csv",
        "data/raw/{dataset}.json",
        "data/notes/{dataset}.json",
    output:
        "reports/data/{dataset}.md",
        "reports/data/{dataset}.json",
    log:
        "logs/describe/{dataset}.log",
    benchmark:
        "logs/benchmark/describe/{dataset}.tsv"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("describe"),
        dataset=of_dataset,
        image_size=config["image_size"],
        contact_sheets=config["contact_sheets"],
    shell:
        "sslpipe describe {wildcards.dataset} 2>&1 | tee {log}"


rule contact_sheet:
    input:
        "data/packed/{dataset}.npy",
        "data/packed/{dataset}.csv",
    output:
        "reports/data/{dataset}.png",
    log:
        "logs/contact_sheet/{dataset}.log",
    benchmark:
        "logs/benchmark/contact_sheet/{dataset}.tsv"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("contact_sheet"),
    shell:
        "sslpipe contact_sheet {wildcards.dataset} 2>&1 | tee {log}"


rule neighbours:
    input:
        "data/packed/{dataset}.npy",
        "data/packed/{dataset}.csv",
        lambda wildcards: [
            path
            for path in FEATURES + METRICS
            if path.split("/")[2] == wildcards.dataset
        ],
        PRETRAIN_REPORTS,
    output:
        report(
            "reports/figures/neighbours_{dataset}.png",
            caption="../report/neighbours.rst",
            category="Features",
        ),
    log:
        "logs/neighbours/{dataset}.log",
    benchmark:
        "logs/benchmark/neighbours/{dataset}.tsv"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("neighbours"),
        runs=config["runs"],
    shell:
        "sslpipe neighbours {wildcards.dataset} 2>&1 | tee {log}"


rule leaderboard:
    input:
        DATA,
        METRICS,
        PREDICTIONS,
        PRETRAIN_REPORTS,
    output:
        "reports/leaderboard.md",
        report(
            "reports/leaderboard.csv",
            caption="../report/leaderboard.rst",
            category="Scores",
        ),
        "reports/leaderboard.json",
    log:
        "logs/leaderboard.log",
    benchmark:
        "logs/benchmark/leaderboard.tsv"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("leaderboard"),
        leaderboard=config["leaderboard"],
        runs=config["runs"],
        evaluate=config["evaluate"],
        tuned=config["finetune"]["runs"],
        report=config["report"],
    shell:
        "sslpipe leaderboard 2>&1 | tee {log}"


rule figures:
    input:
        HISTORIES,
        METRICS,
        PREDICTIONS,
        FEATURES,
        PRETRAIN_REPORTS,
    output:
        pictured("accuracy", "Training"),
        pictured("loss", "Training"),
        pictured("budget", "Scores"),
        pictured("knn_k", "Scores"),
        pictured("probe_grid", "Scores"),
        pictured("feature_map", "Features"),
        pictured("confusion", "Features"),
        "reports/curves.csv",
    log:
        "logs/figures.log",
    benchmark:
        "logs/benchmark/figures.tsv"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("figures"),
        evaluate=config["evaluate"],
        leaderboard=config["leaderboard"],
        runs=config["runs"],
    shell:
        "sslpipe figures 2>&1 | tee {log}"


rule study:
    input:
        METRICS,
        PREDICTIONS,
        PRETRAIN_REPORTS,
    output:
        "reports/studies/{study}.md",
        pictured("study_{study}", "Studies"),
    log:
        "logs/study/{study}.log",
    benchmark:
        "logs/benchmark/study/{study}.tsv"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("study"),
        study=settings("studies", "{study}"),
        leaderboard=config["leaderboard"],
        runs=config["runs"],
        report=config["report"],
    shell:
        "sslpipe study {wildcards.study} 2>&1 | tee {log}"


rule claims:
    input:
        HISTORIES,
        METRICS,
        PREDICTIONS,
        PRETRAIN_REPORTS,
    output:
        "reports/claims.md",
        "reports/claims.json",
    log:
        "logs/claims.log",
    benchmark:
        "logs/benchmark/claims.tsv"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("claims"),
        claims=config["claims"],
        leaderboard=config["leaderboard"],
        runs=config["runs"],
        corpora=config["corpora"],
        evaluate=config["evaluate"],
        studies=config["studies"],
        report=config["report"],
    shell:
        "sslpipe claims 2>&1 | tee {log}"


rule page:
    input:
        "reports/leaderboard.json",
        "reports/claims.json",
        DATA,
        HISTORIES,
        METRICS,
        PREDICTIONS,
        FEATURES,
        PRETRAIN_REPORTS,
    output:
        report(
            "reports/index.html",
            caption="../report/index.rst",
            category="Whole report",
        ),
    log:
        "logs/page.log",
    benchmark:
        "logs/benchmark/page.tsv"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code("page"),
        leaderboard=config["leaderboard"],
        runs=config["runs"],
        studies=config["studies"],
        datasets={name: settings_of(some) for name, some in params.datasets.items()},
        finetune=config["finetune"],
        neighbour_strips=config["neighbour_strips"],
        report=config["report"],
    shell:
        "sslpipe page 2>&1 | tee {log}"
