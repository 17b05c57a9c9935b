"""Reading params.yaml: checked whole, with a line for each mistake, before any work starts.

Imports neither torch nor numpy, so that the engines can read it in a fraction of a second.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from sslpipe.errors import UserError
from sslpipe.io.files import write_bytes
from sslpipe.layout import PARAMS
from sslpipe.schema import METHOD_SETTINGS, Backbone, MoCo, Params, Pretrain, ResolvedRun
from sslpipe.schema.file import read
from sslpipe.schema.report import claims_disagreements
from sslpipe.schema.sources import CC12M, SOURCE_KINDS, INaturalist, PhotoPatches, Stl10
from sslpipe.schema.studies import studies_disagreements
from sslpipe.schema.types import Strict

SNAPSHOT = "SSLPIPE_PARAMS"
"""An environment variable that Snakemake's jobs have."""

# Below this the last stage of a residual network convolves a single pixel, from which torch 2.14's
# bf16 kernels for CPUs compute infinite gradients.
SMALLEST_SIDE = {"imagenet": 17, "small": 8}

RESERVED_RUNS = {"chance"}  # a row of the leaderboard

# Kinds of sources whose images may be shown in a report; a folder's are the user's own.
SHOWN_KINDS = ("photo_patches", "digits", "elpv", "folder", "fashion_mnist")

# No corpus drawn from these can hold more images than this, whatever the splits.
MOST_IMAGES = {
    "digits": 1797,
    "elpv": 2624,
    "cub200_2011": 11_788,
    "mini_imagenet": 65_000,
    "sun397": 39_700,
    "cifar10": 60_000,
    "stl10": 100_000,
    "imagenette": 13_394,
    "fashion_mnist": 70_000,
}


def settings_file() -> Path:
    """What a stage reads: params.yaml, or the copy of it that a workflow was planned with."""
    return Path(os.environ.get(SNAPSHOT) or PARAMS)


def planned_params(*, again: bool) -> Path:
    """A copy of params.yaml as it is now, which all that this process starts reads as `settings_file`.
    again: in a process that a scheduler started for a job: the copy that the job was planned with."""
    if again and os.environ.get(SNAPSHOT):
        return settings_file()
    try:
        content = PARAMS.read_bytes()
        copy = Path(".state/params", f"{hashlib.sha256(content).hexdigest()[:16]}.yaml")
        if not copy.exists():
            write_bytes(copy, content)
    except OSError:  # none there, which `read` tells; or a folder that is only looked at
        copy = PARAMS
    os.environ[SNAPSHOT] = str(copy)
    return copy


def load(path: Path) -> Params:
    """Read and check params.yaml.

    Raises UserError with one line for each mistake: the key's path and what is allowed.
    """
    return check(read(path), str(path))


def check(content: Any, where: str = "params.yaml") -> Params:
    """Check a parsed params.yaml; see `load`."""
    if not isinstance(content, dict):
        raise UserError(f"{where}: expected a mapping of keys, as in presets/default.yaml")
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        lines = list(_lines(error, where))
        missing = [e for e in error.errors() if e["type"] == "missing" and len(e["loc"]) == 1]
        if len(missing) > 1:
            lines.append(f"{where}: start from presets/default.yaml, which has all of these keys")
        raise UserError("\n".join(lines)) from None
    if mistakes := list(_disagreements(params)):
        raise UserError("\n".join(f"{where}: {mistake}" for mistake in dict.fromkeys(mistakes)))
    return params


def resolve(params: Params, name: str) -> ResolvedRun:
    """Fill in a run. Raises UserError for an unknown run or a wrong override."""
    if name not in params.runs:
        raise UserError(f"no run named {name!r} in params.yaml; there are: {_list(params.runs)}")
    run = params.runs[name]
    settings_class = METHOD_SETTINGS[run.method]
    of_pretrain, of_method = Pretrain.model_fields, settings_class.model_fields
    mistakes = []
    overrides: dict[str, dict[str, Any]] = {"method": {}, "pretrain": {}}
    for key, value in run.overrides.items():
        if key in of_method:
            overrides["method"][key] = value
        elif key in of_pretrain:
            overrides["pretrain"][key] = value
        else:
            allowed = _list(["method", "backbone", "corpus", *of_method, *of_pretrain])
            mistakes.append(f"params.yaml: runs.{name}.{key}: unknown key; allowed: {allowed}")
    resolved: dict[str, Strict] = {}
    for part, base in (
        ("method", getattr(params.methods, run.method)),
        ("pretrain", params.pretrain),
    ):
        merged = _merge(base.model_dump(), overrides[part])
        try:
            resolved[part] = type(base).model_validate(merged)
        except ValidationError as error:
            mistakes.extend(_lines(error, "params.yaml", prefix=("runs", name)))
    if mistakes:
        raise UserError("\n".join(mistakes))
    return ResolvedRun(
        name=name,
        method=run.method,
        backbone=run.backbone,
        corpus=run.corpus,
        image_size=params.image_size,
        settings=resolved["method"],
        pretrain=resolved["pretrain"],
    )


def json_schema() -> dict[str, Any]:
    """JSON Schema of params.yaml, for editors and for Snakemake's `validate`."""
    schema = Params.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def most_train_images(params: Params, corpus: str) -> int | None:
    """An upper bound of the corpus's size that is known before any download, or None."""
    bound = 0
    for name in dict.fromkeys(params.corpora[corpus].datasets):
        source = params.datasets[name].source
        if isinstance(source, PhotoPatches):
            bound += source.train_per_class * 20
        elif isinstance(source, INaturalist | CC12M):
            bound += source.images
        elif source.kind in MOST_IMAGES:
            bound += MOST_IMAGES[source.kind]
        else:
            return None
    return bound


def _disagreements(params: Params) -> Iterator[str]:
    """Mistakes that no single key shows, each as `key.path: what is wrong; what to do`."""
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
        if isinstance(dataset.source, PhotoPatches) and "splits" in dataset.model_fields_set:
            yield f"datasets.{name}.splits: photo_patches has splits of its own; leave it out"
        for file in getattr(dataset.source, "checksums", {}):
            if (files := dataset.source.FILES) and file not in files:
                yield (
                    f"datasets.{name}.source.checksums.{file}: no such file of this source; "
                    f"there are: {_list(files)}"
                )
        if dataset.labelled and _without_labels(dataset.source):
            yield f"datasets.{name}.labelled: this source has no labels: set it to false"
    if len(set(params.contact_sheets)) < len(params.contact_sheets):
        yield "contact_sheets: the same data set is named twice"
    for i, name in enumerate(params.contact_sheets):
        if name not in params.datasets:
            yield f"contact_sheets.{i}: no data set {name!r}; there are: {_list(params.datasets)}"
        elif (kind := params.datasets[name].source.kind) not in SHOWN_KINDS:
            yield (
                f"contact_sheets.{i}: the licence of {kind} does not allow to pass its images on; "
                f"allowed: {_list(SHOWN_KINDS)}"
            )
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
        yield from _run_disagreements(params, name)
    yield from studies_disagreements(params, dict(_resolvable(params)))


def _resolvable(params: Params) -> Iterator[tuple[str, ResolvedRun]]:
    """Runs whose own mistakes, which are told elsewhere, do not prevent it."""
    for name in params.runs:
        with contextlib.suppress(UserError):
            yield name, resolve(params, name)


def _report_disagreements(params: Params) -> Iterator[str]:
    """Of what is made of trained runs."""
    if len(set(params.neighbour_strips)) < len(params.neighbour_strips):
        yield "neighbour_strips: the same data set is named twice"
    for i, name in enumerate(params.neighbour_strips):
        where = f"neighbour_strips.{i}"
        if name not in params.leaderboard:
            yield f"{where}: {name!r} is not scored; allowed: {_list(params.leaderboard)}"
        elif (kind := params.datasets[name].source.kind) not in SHOWN_KINDS:
            yield (
                f"{where}: the licence of {kind} does not allow to pass its images on; "
                f"allowed: {_list(SHOWN_KINDS)}"
            )
    if len(set(params.finetune.runs)) < len(params.finetune.runs):
        yield "finetune.runs: the same run is named twice"
    for i, name in enumerate(params.finetune.runs):
        if name not in params.runs:
            yield f"finetune.runs.{i}: no run {name!r}; there are: {_list(params.runs)}"
        elif params.runs[name].backbone == "pixels":
            yield f"finetune.runs.{i}: {name!r} has no encoder (backbone pixels)"
    yield from claims_disagreements(
        params.claims,
        scored=params.leaderboard,
        datasets=params.datasets,
        backbones=get_args(Backbone),
        methods=METHOD_SETTINGS,
    )


def _without_labels(source: Strict) -> bool:
    return isinstance(source, CC12M) or (isinstance(source, Stl10) and source.part == "unlabelled")


def _run_disagreements(params: Params, name: str) -> Iterator[str]:
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
    try:
        run = resolve(params, name)
    except UserError as error:
        yield from (line.removeprefix("params.yaml: ") for line in str(error).splitlines())
        return
    if run.backbone == "pixels" and run.trained:
        yield f"runs.{name}.backbone: pixels cannot be trained; use it with method: random"
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
    batch, most = run.pretrain.batch_size, most_train_images(params, run.corpus)
    if most is not None and batch > most:
        yield (
            f"runs.{name}: batch_size {batch} is larger than corpus {run.corpus!r} "
            f"(at most {most} images)"
        )
    views = run.pretrain.views
    side, at = run.image_size, "image_size"
    if views.local and views.local_size is not None and views.local_size < side:
        side, at = views.local_size, f"runs.{name}: views.local_size"
    if side < (smallest := SMALLEST_SIDE[run.pretrain.stem]):
        yield f"{at}: {side} is too small for stem {run.pretrain.stem!r}: at least {smallest} pixels"
    for key, size in (("image_size", run.image_size), ("local_size", views.local_size or 0)):
        if views.blur_kernel and size and views.blur_kernel // 2 >= size:
            yield f"runs.{name}: views.blur_kernel {views.blur_kernel} is too wide for {key} {size}"
    if run.pretrain.warmup_epochs > run.pretrain.epochs:
        yield f"runs.{name}: warmup_epochs is longer than epochs ({run.pretrain.epochs})"
    parts, gpus = run.pretrain.accumulate, run.pretrain.gpus
    if batch % (parts * gpus) or batch // (parts * gpus) < 2:
        yield (
            f"runs.{name}: batch_size {batch} must be a multiple of accumulate {parts} × gpus {gpus}, "
            "with at least 2 images for each"
        )
    if parts > 1 and run.pretrain.compile == "graphs":
        # A graph's second backward pass would overwrite the gradients of the first.
        yield f"runs.{name}: compile: graphs does not go with accumulate {parts}"
    if isinstance(run.settings, MoCo):
        groups, queue = run.settings.bn_groups, run.settings.queue
        if batch % (parts * groups) or batch // (parts * groups) < 2:
            by = f"accumulate {parts} × bn_groups {groups}" if parts > 1 else f"bn_groups {groups}"
            yield (
                f"runs.{name}: batch_size {batch} must be a multiple of {by}, "
                "with at least 2 images a group"
            )
        if groups > 1 and groups % gpus:
            yield f"runs.{name}: bn_groups {groups} must be 1 or a multiple of gpus {gpus}"
        if most is not None and queue > most:
            yield (
                f"runs.{name}: queue {queue} is larger than corpus {run.corpus!r} (at most {most} "
                "images): positives would be among the negatives; make queue smaller"
            )
        keys = 2 * batch if run.settings.symmetric else batch
        if keys > queue:
            yield f"runs.{name}: queue {queue} is smaller than the {keys} keys of one step"


def _merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in override.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _lines(error: ValidationError, where: str, prefix: tuple[str, ...] = ()) -> Iterator[str]:
    for mistake in error.errors():
        path = [str(part) for part in (*prefix, *mistake["loc"]) if part != "[key]"]
        if path[0] == "datasets" and path[2:3] == ["source"]:
            del path[3:4]  # pydantic names the chosen kind of source as a step of the path
        message = mistake["msg"].removeprefix("Value error, ")
        if mistake["type"] == "extra_forbidden":
            message = "unknown key"
            if allowed := _fields_at(mistake["loc"][:-1], of_run=prefix):
                message += f"; allowed: {_list(allowed)}"
        elif mistake["type"].startswith("union_tag"):
            message = f"expected one of {_list(SOURCE_KINDS)}, or a mapping with such a `kind`"
        elif mistake["type"] != "missing":
            message += f" (got {mistake['input']!r})"
            if mistake["type"] == "string_type" and isinstance(
                mistake["input"], int | float | None
            ):
                message += "; quote it if it is a name"
        yield f"{where}: {'.'.join(path)}: {message[0].lower() + message[1:]}"


def _fields_at(loc: tuple[str | int, ...], of_run: tuple[str, ...]) -> list[str] | None:
    """The keys allowed at a place in params.yaml, found by walking the JSON Schema."""
    roots: list[type[BaseModel]] = [Params]
    if of_run:
        roots = [Pretrain, *METHOD_SETTINGS.values()]
    for root in roots:
        schema = root.model_json_schema()
        node: dict[str, Any] | None = schema
        for part in loc:
            node = _step(schema, node, str(part))
            if node is None:
                break
        if node and "properties" in node:
            return list(node["properties"])
    return None


def _step(schema: dict[str, Any], node: dict[str, Any], part: str) -> dict[str, Any] | None:
    choices = [node, *node.get("anyOf", []), *node.get("oneOf", [])]
    for choice in (_follow(schema, c) for c in choices):
        if part in choice.get("properties", {}):
            return _follow(schema, choice["properties"][part])
        if choice.get("properties", {}).get("kind", {}).get("const") == part:
            return choice  # the tag of a union is a step of pydantic's path
        if isinstance(choice.get("additionalProperties"), dict):
            return _follow(schema, choice["additionalProperties"])
    return None


def _follow(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node


def _list(names: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(map(str, names)))
