def code(stage):
    """A hash of the code that a stage's numbers come from; of a job with a part of its own, the method of
    a run or the source of a data set, with that."""

    def found(wildcards):
        name = {"pretrain": "run", "download": "dataset", "describe": "dataset"}.get(
            stage
        )
        return code_of(stage, params, wildcards[name] if name else None)

    return found


def settings(*path):
    """What stands in params.yaml at `path`; a change of exactly this makes the rule run again."""

    def found(wildcards):
        return reduce(lambda place, key: place[key.format(**wildcards)], path, config)

    return found


def of_dataset(wildcards):
    """What stands in params.yaml of the job's data set, but for where its files lie."""
    return settings_of(params.datasets[wildcards.dataset])


def of_source(wildcards):
    """The part of it that the tar of originals depends on."""
    return source_settings(params.datasets[wildcards.dataset])


def contents_of(wildcards):
    """A hash of the images on this machine that the job's data set comes from. Only the process that
    plans compares it; those that a scheduler starts elsewhere have no need to look."""
    if workflow.remote_exec:
        return None
    name = wildcards.dataset
    try:
        return contents(params.datasets[name], Layout(), name)
    except UserError as error:  # the stage says it too
        return str(error)


def threads_of(wildcards):
    """`pretrain.threads` of the job's run; else its share of the cores, where as many jobs run as
    there are GPUs to use, or all of them."""
    of_run = config["runs"][wildcards.run]
    at_once = 1 if ELSEWHERE else min(GPUS, GPU_LIMIT or GPUS)
    share = CORES // max(1, at_once)
    return of_run.get("threads", config["pretrain"].get("threads")) or max(1, share)


def gpus(wildcards):
    """GPUs that a training asks for; where there are fewer, the stage says so or uses the CPU."""
    of_run = config["runs"][wildcards.run]
    wanted = of_run.get("gpus", config["pretrain"].get("gpus", 1))
    return min(wanted, GPUS or 1)


def growing(amount):
    """So much at first, twice as much when a job is tried again: for `mem_mb` and `runtime`.

    Measured (max_rss in logs/benchmark): stages of the report 70 to 250 MB, download 50 MB, subset
    790 MB in all its processes, embed, evaluate and finetune 650 to 700 MB of which torch takes most,
    pretrain 1,060 MB for a ResNet-18 of 32 px on a CPU. The rules leave room for the features of
    100,000 images (2,048 floats each, several times), for networks ten times as large, and for what
    CUDA keeps on the host. Packed images are mapped and count as cache. Times are for a GPU and
    hundreds of epochs; a cluster's own limits: `--set-resources pretrain:runtime=600`.
    """
    return lambda wildcards, attempt: amount * 2 ** (attempt - 1)


def pictured(name, category):
    """The figure as png, with its place in `snakemake --report`, and as svg."""
    stem = name.partition("_{")[0]
    png = report(
        f"reports/figures/{name}.png",
        caption=f"../report/{stem}.rst",
        category=category,
    )
    return [png, f"reports/figures/{name}.svg"]
