"""Mistakes of params.yaml that no single key shows."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sslpipe.errors import UserError
from sslpipe.schema.backbones import BACKBONES
from sslpipe.schema.methods.base import Given
from sslpipe.schema.params import Params
from sslpipe.schema.report import claims_disagreements
from sslpipe.schema.runs import METHOD_SETTINGS
from sslpipe.schema.sources import SOURCE_KINDS
from sslpipe.schema.sources.base import Downloaded, Source
from sslpipe.schema.studies import studies_disagreements
from sslpipe.schema.training import ResolvedRun

RESERVED_RUNS = {"chance"}  # a row of the leaderboard


def most_train_images(params: Params, corpus: str) -> int | None:
    """An upper bound of the corpus's size that is known before any download, or None."""
    bound = 0
    for name in dict.fromkeys(params.corpora[corpus].datasets):
        most = params.datasets[name].source.most_images
        if most is None:
            return None
        bound += most
    return bound


def disagreements(params: Params, resolved: Mapping[str, ResolvedRun | UserError]) -> Iterator[str]:
    """Mistakes that no single key shows, each as `key.path: what is wrong; what to do`. resolved: every
    run, or what is wrong with its own keys."""
    for i, name in enumerate(params.leaderboard):
        if name not in params.datasets:
            yield f"leaderboard.{i}: no data set {name!r}; there are: {_list(params.datasets)}"
        elif not params.datasets[name].labelled:
            yield f"leaderboard.{i}: {name!r} has no labels (labelled: false) and cannot be scored"
    if len(set(params.leaderboard)) < len(params.leaderboard):
        yield "leaderboard: the same data set is named twice"
    for name, dataset in params.datasets.items():
        splits = dataset.splits
        if splits.val + splits.public + splits.private >= 1:
            yield f"datasets.{name}.splits: val + public + private must leave a share for training"
        source = dataset.source
        if source.OWN_SPLITS and "splits" in dataset.model_fields_set:
            yield f"datasets.{name}.splits: {source.kind} has splits of its own; leave it out"
        if isinstance(source, Downloaded):
            for file in source.checksums:
                if (files := source.FILES) and file not in files:
                    yield (
                        f"datasets.{name}.source.checksums.{file}: no such file of this source; "
                        f"there are: {_list(files)}"
                    )
        if dataset.labelled and not source.has_labels:
            yield f"datasets.{name}.labelled: this source has no labels: set it to false"
    if len(set(params.contact_sheets)) < len(params.contact_sheets):
        yield "contact_sheets: the same data set is named twice"
    for i, name in enumerate(params.contact_sheets):
        if name not in params.datasets:
            yield f"contact_sheets.{i}: no data set {name!r}; there are: {_list(params.datasets)}"
        else:
            yield from _not_to_be_shown(f"contact_sheets.{i}", params.datasets[name].source)
    yield from _report_disagreements(params)
    for name, corpus in params.corpora.items():
        if name in params.datasets:
            yield f"corpora.{name}: a data set has this name too, and both write reports/data/{name}.md"
        for i, member in enumerate(corpus.datasets):
            if member not in params.datasets:
                yield (
                    f"corpora.{name}.datasets.{i}: no data set {member!r}; "
                    f"there are: {_list(params.datasets)}"
                )
        if len(set(corpus.datasets)) < len(corpus.datasets):
            yield f"corpora.{name}.datasets: the same data set is named twice"
    for name in params.runs:
        if name in RESERVED_RUNS:
            yield f"runs.{name}: this name is taken by a row of the leaderboard"
        yield from _run_disagreements(params, name, resolved[name])
    sound = {name: run for name, run in resolved.items() if isinstance(run, ResolvedRun)}
    yield from studies_disagreements(params, sound)


def _report_disagreements(params: Params) -> Iterator[str]:
    """Of what is made of trained runs."""
    if len(set(params.neighbour_strips)) < len(params.neighbour_strips):
        yield "neighbour_strips: the same data set is named twice"
    for i, name in enumerate(params.neighbour_strips):
        where = f"neighbour_strips.{i}"
        if name not in params.leaderboard:
            yield f"{where}: {name!r} is not scored; allowed: {_list(params.leaderboard)}"
        else:
            yield from _not_to_be_shown(where, params.datasets[name].source)
    if len(set(params.finetune.runs)) < len(params.finetune.runs):
        yield "finetune.runs: the same run is named twice"
    for i, name in enumerate(params.finetune.runs):
        if name not in params.runs:
            yield f"finetune.runs.{i}: no run {name!r}; there are: {_list(params.runs)}"
        elif not BACKBONES[backbone := params.runs[name].backbone].weights:
            yield f"finetune.runs.{i}: {name!r} has no encoder (backbone {backbone})"
    yield from claims_disagreements(
        params.claims,
        scored=params.leaderboard,
        datasets=params.datasets,
        backbones=BACKBONES,
        methods=METHOD_SETTINGS,
    )


def _run_disagreements(params: Params, name: str, run: ResolvedRun | UserError) -> Iterator[str]:
    declared = params.runs[name]
    if declared.corpus not in params.corpora:
        yield (
            f"runs.{name}.corpus: no corpus {declared.corpus!r}; there are: {_list(params.corpora)}"
        )
        return
    if declared.method not in params.methods.model_fields_set:
        yield f"methods.{declared.method}: missing, and run {name!r} uses it; {{}} takes the defaults"
    if any(member not in params.datasets for member in params.corpora[declared.corpus].datasets):
        return  # said above
    if isinstance(run, UserError):
        yield from (line.removeprefix("params.yaml: ") for line in str(run).splitlines())
        return
    backbone = BACKBONES[run.backbone]
    if run.trained and not backbone.weights:
        yield f"runs.{name}.backbone: {run.backbone} cannot be trained; use it with method: random"
    if run.pretrain.online.datasets != params.pretrain.online.datasets:
        yield f"runs.{name}.online.datasets: set it for all runs, under pretrain.online.datasets"
    for i, watched in enumerate(run.pretrain.online.datasets):
        if watched not in params.datasets or not params.datasets[watched].labelled:
            yield (
                f"pretrain.online.datasets.{i}: no labelled data set {watched!r}; "
                f"there are: {_list(n for n, d in params.datasets.items() if d.labelled)}"
            )
    if not run.trained:
        return
    views = run.pretrain.views
    side, at = run.image_size, "image_size"
    if views.local and views.local_size is not None and views.local_size < side:
        side, at = views.local_size, f"runs.{name}: views.local_size"
    if side < (smallest := backbone.smallest[run.pretrain.stem]):
        yield f"{at}: {side} is too small for stem {run.pretrain.stem!r}: at least {smallest} pixels"
    for key, size in (("image_size", run.image_size), ("local_size", views.local_size or 0)):
        if views.blur_kernel and size and views.blur_kernel // 2 >= size:
            yield f"runs.{name}: views.blur_kernel {views.blur_kernel} is too wide for {key} {size}"
    if run.pretrain.warmup_epochs > run.pretrain.epochs:
        yield f"runs.{name}: warmup_epochs is longer than epochs ({run.pretrain.epochs})"
    if run.pretrain.accumulate > 1 and run.pretrain.compile == "graphs":
        # A graph's second backward pass would overwrite the gradients of the first.
        yield (
            f"runs.{name}: compile: graphs does not go with accumulate {run.pretrain.accumulate}"
        )
    most, gpus = most_train_images(params, run.corpus), run.pretrain.gpus
    given = Given(most, f"at most {most} images", gpus, f"gpus {gpus}")
    yield from (f"runs.{name}: {misfit}" for misfit in run.misfits(given))


def _not_to_be_shown(where: str, source: Source) -> Iterator[str]:
    if not source.MAY_BE_SHOWN:
        allowed = (kind for kind, other in SOURCE_KINDS.items() if other.MAY_BE_SHOWN)
        yield (
            f"{where}: the licence of {source.kind} does not allow to pass its images on; "
            f"allowed: {_list(allowed)}"
        )


def _list(names: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(map(str, names)))
