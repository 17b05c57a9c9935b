"""The model card of an exported encoder: Hugging Face's metadata, then what a reader must know.

model_card.md is its template; everything in it is computed from the run's files. Its Python blocks
run one after another in the folder that holds the card (a test does so).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from sslpipe.reporting.board import number
from sslpipe.reporting.few_runs import of_runs
from sslpipe.reporting.leaderboard import CHANCE, Row, compared, rows_of
from sslpipe.reporting.markdown import code, table
from sslpipe.reporting.paired import Json, score_of
from sslpipe.reporting.results import Results
from sslpipe.reporting.settings import is_baseline, settings
from sslpipe.reporting.table import BOTH
from sslpipe.reporting.trained import as_set, changed, cost, origin
from sslpipe.reporting.words import percent, share

WEIGHTS = "model.safetensors"
METHODS = {
    "simclr": "SimCLR (Chen et al. 2020)",
    "moco": "MoCo (He et al. 2020)",
    "byol": "BYOL (Grill et al. 2020)",
}
SCORES = {
    "knn_top1": "k-NN",
    "probe_top1": "linear probe",
    "public_top1": "linear probe, public",
    "private_top1": "linear probe, private",
    "finetune_top1": "fine-tuned",
}


@dataclass(frozen=True)
class Input:
    """What the encoder takes: RGB in [0, 1], less the mean, over the deviation, of each channel.

    resize: `squash` both sides to `size`, or `crop` the central square and resize that.
    """

    size: int
    resize: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def model_card(
    results: Results, run: str, *, width: int, expects: Input, exported: Mapping[str, str]
) -> str:
    """The README.md of a trained or untrained encoder with `width` features.

    exported: label → hash or version, of the files that the card belongs to.
    """
    made = results.pretrain[run]
    baselines = _baselines(results, run)
    whole = of_runs(results, [run, *baselines])
    found = {dataset: _row(whole, dataset, run) for dataset in whole["datasets"]}
    rows = {dataset: row for dataset, row in found.items() if row is not None}
    corpus = results.params.corpora.get(made["corpus"])
    members = corpus.datasets if corpus else []
    environment = Environment(
        loader=PackageLoader("sslpipe.reporting", ""), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["code"] = code
    return environment.get_template("model_card.md").render(
        run=run,
        made=made,
        width=width,
        expects=expects,
        weights=WEIGHTS,
        header=_header(made, run, rows),
        method=METHODS.get(made["method"], made["method"]),
        small=_small(made),
        cost=_pairs(cost(made) | {"seed": str(made["parameters"]["pretrain"]["seed"])}),
        changed=as_set(changed(made)) if made["trained"] else "",
        corpus=corpus,
        members=_members(results, members),
        seen=[name for name in results.datasets if name in members],
        confidence=share(results.params.report.confidence),
        scores=_scores(whole, rows) if rows else "",
        ignored=_ignored(made["parameters"]["pretrain"]["views"]),
        limits=list(_limits(results, run, whole, rows, baselines)),
        origin=_pairs({key: code(value) for key, value in {**origin(made), **exported}.items()}),
    )


def _header(made: Json, run: str, rows: Mapping[str, Row]) -> str:
    """https://huggingface.co/docs/hub/model-cards: metadata as YAML between two lines of dashes."""
    known: dict[str, Any] = {"license": "unknown", "pipeline_tag": "image-feature-extraction"}
    if not _small(made):
        known["library_name"] = "timm"
    known["tags"] = ["image-feature-extraction", "self-supervised-learning", "sslpipe"]
    known["tags"] += [made["backbone"], *([made["method"]] if made["trained"] else [])]
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"type": dataset, "name": dataset, "split": "test"},
            "metrics": [
                {"type": "accuracy", "name": f"{SCORES[key]}, top-1", "value": _mean(row, key)}
                for key in SCORES
                if key in row["scores"]
            ],
        }
        for dataset, row in rows.items()
    ]
    if results:
        known["model-index"] = [{"name": run, "results": results}]
    return f"---\n{yaml.safe_dump(known, sort_keys=False, allow_unicode=True)}---"


def _pairs(words: Mapping[str, str]) -> str:
    return table(["", ""], [list(pair) for pair in words.items()], "ll")


def _members(results: Results, names: Sequence[str]) -> str:
    return table(
        ["data set", "origin", "licence"], [_of_dataset(results, name) for name in names], "lll"
    )


def _of_dataset(results: Results, name: str) -> list[str]:
    facts = results.dataset_facts.get(name)
    if facts is None:
        kind = results.params.datasets[name].source.kind
        return [code(name), f"source {code(kind)}", f"see `sslpipe describe {name}`"]
    title, homepage = facts["title"], facts["homepage"]
    return [code(name), f"[{title}]({homepage})" if homepage else title, facts["licence"]]


def _scores(whole: Json, rows: Mapping[str, Row]) -> str:
    shown = [key for key in SCORES if any(key in row["scores"] for row in rows.values())]
    chances = {row["dataset"]: row for row in whole["rows"] if row["run"] == CHANCE}
    body = [
        [
            code(dataset),
            *(number(whole, row, key).shown(BOTH) for key in shown),
            percent(_mean(chances[dataset], "probe_top1")),
        ]
        for dataset, row in rows.items()
    ]
    headings = ["data set", *(SCORES[key] for key in shown), "chance"]
    return table(headings, body, "l" + "r" * (len(shown) + 1))


def _limits(
    results: Results, run: str, whole: Json, rows: Mapping[str, Row], baselines: Sequence[str]
) -> Iterator[str]:
    """What is known of this run alone."""
    made = results.pretrain[run]
    if made["trained"]:
        yield from _seeds(results, run, list(rows))
    for dataset, row in rows.items():
        for remark in whole["datasets"][dataset].get("remarks", []):
            yield f"On {code(dataset)}: {remark}."
        for baseline in baselines:
            yield from _against(whole, dataset, row, baseline, made)
        *_, on_edge = row["probe_best"][0]
        if on_edge:
            yield (
                f"On {code(dataset)} the best probe lies on the edge of the grid: a wider one may "
                "score higher."
            )


def _ignored(views: Mapping[str, Any]) -> list[str]:
    """What the random views change is what the features were taught to ignore."""
    changed = {
        "the place and size of a thing": True,
        "left and right": views["flip"],
        "colour": views["jitter"] or views["grayscale"],
        "sharpness": views["blur"],
    }
    return [what for what, is_changed in changed.items() if is_changed]


def _seeds(results: Results, run: str, datasets: Sequence[str]) -> Iterator[str]:
    """How much the probe differs between runs that differ in nothing but their seed."""
    (runs,) = (some.runs for some in settings(results.pretrain) if run in some.runs)
    for dataset in datasets:
        cells = [results.metrics.get((dataset, other)) for other in runs]
        values = [cell["probe_top1"] for cell in cells if cell is not None]
        if len(values) > 1:
            yield (
                f"On {code(dataset)} the probe of {len(values)} seeds has a standard deviation of "
                f"{percent(score_of(values)['std'])} points."
            )


def _against(whole: Json, dataset: str, row: Row, baseline: str, made: Json) -> Iterator[str]:
    """Where training does not pay."""
    other = _row(whole, dataset, baseline)
    if other is None or not made["trained"]:
        return
    confidence = whole["made_by"]["report"]["confidence"]
    if compared(whole, dataset, row["run"], baseline).verdict(confidence) != "better":
        mine, its = (percent(_mean(some, "probe_top1")) for some in (row, other))
        yield (
            f"On {code(dataset)} its probe ({mine} %) is not surely better than that of "
            f"{code(baseline)} ({its} %), which was not trained."
        )


# --- parts ------------------------------------------------------------------------------------


def _baselines(results: Results, run: str) -> list[str]:
    """The untrained encoder of the same backbone, and raw pixels, as far as they are there."""
    backbone = results.pretrain[run]["backbone"]
    return [
        other
        for other, made in results.pretrain.items()
        if other != run and is_baseline(made) and made["backbone"] in (backbone, "pixels")
    ]


def _row(whole: Json, dataset: str, run: str) -> Row | None:
    return next((row for row in rows_of(whole, dataset) if row["run"] == run), None)


def _mean(row: Row, key: str) -> float:
    return row["scores"][key]["mean"]


def _small(made: Json) -> bool:
    return made["parameters"]["pretrain"]["stem"] == "small"
