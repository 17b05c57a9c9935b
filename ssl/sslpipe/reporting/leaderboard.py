"""The leaderboard: one row for each encoder and data set, and its renderings as text.

Pure functions. `metrics` maps (dataset, run) to the flat dictionary of
`evaluation.protocol.evaluate`; `pretrain` maps a run to what is known of its training (method,
backbone, corpus, images_per_s, train_seconds, epochs, precision, device; the speeds are None for
encoders that were not trained).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from tabulate import tabulate

Metrics = Mapping[tuple[str, str], Mapping[str, Any]]
Pretrain = Mapping[str, Mapping[str, Any]]
Row = dict[str, Any]

DASH = "–"
CHANCE = "chance"
SPEEDS = ("images_per_s", "train_seconds")
# Every score column: its heading, and what the legend says of it.
SCORES = {
    "knn_top1": ("k-NN", "majority vote of the nearest training images (cosine), all test images"),
    "probe_top1": ("probe", "linear probe, best cell of the grid, all test images"),
    "public_top1": ("public", "the same probe on the public test images"),
    "private_top1": ("private", "the same probe on the private test images"),
    "knn_weighted_top1": ("k-NN weighted", "k-NN with votes weighted by exp(similarity / T)"),
    "knn_top5": ("k-NN top-5", "the true class has a vote and is among the five with the most"),
    "probe_top5": ("probe top-5", "the true class is among the probe's five highest"),
    "knn_mean_per_class": ("k-NN per class", "k-NN top-1 averaged over classes"),
    "probe_mean_per_class": ("probe per class", "probe top-1 averaged over classes"),
    "probe_val_top1": ("probe val", "the probe on validation, which chose the grid cell"),
    "probe_default_top1": (
        "default probe",
        "a probe with one fixed setting (Adam), all test images",
    ),
}
SETTINGS = {
    "probe_best_lr": ("best lr", "learning rate of the chosen grid cell"),
    "probe_best_weight_decay": ("best wd", "weight decay of the chosen grid cell"),
}
HEADINGS = {
    **{key: key for key in ("dataset", "run", "method", "backbone", "corpus")},
    **{key: heading for key, (heading, _) in (SCORES | SETTINGS).items()},
    "images_per_s": "images/s",
    "train_seconds": "training",
}
WHAT = ("dataset", "run", "method", "backbone", "corpus")
MAIN_SCORES = ("knn_top1", "probe_top1", "public_top1", "private_top1")
FURTHER = (*[key for key in SCORES if key not in MAIN_SCORES], *SETTINGS)
COLUMNS = (*WHAT, *MAIN_SCORES, *SPEEDS, *FURTHER)


def rows(metrics: Metrics, pretrain: Pretrain) -> list[Row]:
    """All rows with the keys COLUMNS; scores are fractions, None where a column means nothing.

    Data sets in the order of `metrics`; in each, trained runs by public score, best first, then the
    encoders that were not trained, then a row "chance". A run without metrics has no row:
    `missing`.
    """
    if CHANCE in pretrain:
        raise ValueError(f"no run can be called {CHANCE}: the leaderboard has a row of that name")
    table = []
    for dataset in datasets(metrics):
        cells = {run: cell for (name, run), cell in metrics.items() if name == dataset}
        encoders = [_encoder_row(dataset, run, cells[run], pretrain) for run in cells]
        encoders.sort(
            key=lambda row: (is_baseline(pretrain[row["run"]]), -row["public_top1"], row["run"])
        )
        table += [*encoders, _chance_row(dataset, cells)]
    return table


def datasets(metrics: Metrics) -> list[str]:
    """Names of the scored data sets, in order of first appearance."""
    return list(dict.fromkeys(dataset for dataset, _ in metrics))


def missing(metrics: Metrics, pretrain: Pretrain) -> list[tuple[str, str]]:
    """(dataset, run) of every run that one of the scored data sets has no metrics for."""
    return [
        (dataset, run)
        for dataset in datasets(metrics)
        for run in pretrain
        if (dataset, run) not in metrics
    ]


def is_baseline(made: Mapping[str, Any]) -> bool:
    """Is it the untrained encoder, or raw pixels without an encoder?"""
    return made["method"] == "random" or made["backbone"] == "pixels"


def as_csv(table: list[Row]) -> str:
    """Fractions at full precision; an empty field where a column means nothing."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def as_json(metrics: Metrics, pretrain: Pretrain, made_by: Mapping[str, Any]) -> str:
    """The rows with what made them: how each run was trained, all metrics, and `made_by`."""
    whole = {
        "made_by": dict(made_by),
        "columns": list(COLUMNS),
        "rows": rows(metrics, pretrain),
        "missing": [{"dataset": name, "run": run} for name, run in missing(metrics, pretrain)],
        "pretrain": {run: dict(made) for run, made in pretrain.items()},
        "metrics": {
            dataset: {run: dict(cell) for (name, run), cell in metrics.items() if name == dataset}
            for dataset in datasets(metrics)
        },
    }
    return json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_text(table: list[Row]) -> str:
    """The main columns as an aligned table for a terminal, scores in percent."""
    shown = (*WHAT, *MAIN_SCORES, *SPEEDS)
    if not table:
        return "No run has been evaluated.\n"
    body = [[_text(row[column], column) for column in shown] for row in table]
    return _table(body, shown, "simple") + "\n"


def as_markdown(metrics: Metrics, pretrain: Pretrain) -> str:
    """A section for each data set, then the legend."""
    table = rows(metrics, pretrain)
    parts = ["# Leaderboard"]
    if not table:
        parts.append("No run has been evaluated.")
    for dataset in datasets(metrics):
        parts += _section(dataset, [r for r in table if r["dataset"] == dataset], metrics, pretrain)
    parts += _legend(metrics, pretrain)
    return "\n\n".join(parts) + "\n"


# --- rows -------------------------------------------------------------------------------------


def _encoder_row(dataset: str, run: str, cell: Mapping[str, Any], pretrain: Pretrain) -> Row:
    if run not in pretrain:
        raise ValueError(f"{dataset}/{run} was evaluated, but nothing is known of run {run}")
    absent = [key for key in (*SCORES, *SETTINGS) if key not in cell]
    if absent:
        raise ValueError(f"the metrics of {dataset}/{run} lack {', '.join(absent)}")
    made = pretrain[run]
    pixels, baseline = made["backbone"] == "pixels", is_baseline(made)
    return {
        "dataset": dataset,
        "run": run,
        "method": None if pixels else made["method"],
        "backbone": made["backbone"],
        "corpus": None if baseline else made["corpus"],
        **{key: cell[key] for key in MAIN_SCORES},
        **{key: None if baseline else made[key] for key in SPEEDS},
        **{key: cell[key] for key in FURTHER},
    }


def _chance_row(dataset: str, cells: Mapping[str, Mapping[str, Any]]) -> Row:
    """What always answering the most frequent training class scores."""
    _same_images(dataset, cells)
    cell = next(iter(cells.values()))
    row: Row = dict.fromkeys(COLUMNS)
    row |= {"dataset": dataset, "run": CHANCE}
    row |= dict.fromkeys(
        ("knn_top1", "probe_top1", "knn_weighted_top1", "probe_default_top1"), cell["chance_top1"]
    )
    row |= {f"{split}_top1": cell[f"chance_{split}_top1"] for split in ("public", "private")}
    return row


def _same_images(dataset: str, cells: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse to rank runs that were scored on different images."""
    images = [f"{split}_images" for split in ("train", "val", "public", "private")]
    keys = ["classes", *images, "chance_top1", "chance_public_top1", "chance_private_top1"]
    (first, expected), *others = cells.items()
    for run, cell in others:
        for key in keys:
            if cell[key] != expected[key]:
                raise ValueError(
                    f"{dataset}: {key} is {cell[key]} for {run} but {expected[key]} for {first}; "
                    "they were scored on different images, evaluate again"
                )


# --- text -------------------------------------------------------------------------------------


def _section(dataset: str, table: list[Row], metrics: Metrics, pretrain: Pretrain) -> Iterable[str]:
    cell = metrics[dataset, table[0]["run"]]
    encoders = [row for row in table if row["run"] != CHANCE]
    yield f"## {dataset}"
    yield (
        f"{cell['classes']:,} classes; {cell['train_images']:,} training, "
        f"{cell['val_images']:,} validation, {cell['public_images']:,} public and "
        f"{cell['private_images']:,} private test images."
    )
    yield _verdict(encoders, cell["public_images"], pretrain)
    yield _markdown_table(table, (*WHAT[1:], *MAIN_SCORES, *SPEEDS), pretrain)
    yield "Further scores:"
    yield _markdown_table(encoders, ("run", *FURTHER), pretrain)
    edge = [row for row in encoders if metrics[dataset, row["run"]]["probe_best_on_edge"]]
    if edge:
        runs = ", ".join(
            f"`{row['run']}` (lr {row['probe_best_lr']:g}, wd {row['probe_best_weight_decay']:g})"
            for row in edge
        )
        yield (
            f"**Warning:** the best probe cell lies on the edge of the grid for {runs}; "
            "a wider grid may score higher."
        )
    absent = [run for name, run in missing(metrics, pretrain) if name == dataset]
    if absent:
        yield f"Not evaluated, so not in the tables: {_names(absent)}."


def _verdict(encoders: list[Row], images: int, pretrain: Pretrain) -> str:
    """Does the best trained run beat the encoders that were not trained? By public top-1."""
    trained = [row for row in encoders if not is_baseline(pretrain[row["run"]])]
    if not trained:
        return "No trained run has been evaluated here, so there is nothing to compare."
    best = trained[0]
    score = best["public_top1"]
    pixels = [row for row in encoders if row["backbone"] == "pixels"]
    random = [row for row in encoders if row["method"] == "random"]
    compared = []
    for kind, rivals in (("the random encoder", random), ("raw pixels", pixels)):
        if not rivals:
            compared.append(f"there is no score of {kind} to compare it with")
            continue
        rival = max(rivals, key=lambda row: row["public_top1"])
        points = 100 * (score - rival["public_top1"])
        named = f"{kind} (`{rival['run']}`, {_percent(rival['public_top1'])})"
        if points == 0:
            compared.append(f"it equals {named}")
        else:
            verb = "beats" if points > 0 else "does not beat"
            compared.append(f"it {verb} {named}: {points:+.1f} points")
    error = 100 * math.sqrt(score * (1 - score) / images)
    return (
        f"The best trained run by public top-1 is `{best['run']}` with {_percent(score)} "
        f"({_percent(best['private_top1'])} private); {compared[0]}, and {compared[1]}. "
        f"The standard error of its public score is {error:.1f} points ({images:,} images); "
        "differences of that size are not evidence."
    )


def _markdown_table(table: list[Row], columns: tuple[str, ...], pretrain: Pretrain) -> str:
    """A pipe table; the best trained value of each score column, and the highest speed, in bold."""
    trained = [
        row for row in table if row["run"] != CHANCE and not is_baseline(pretrain[row["run"]])
    ]
    best = {}
    for column in columns:
        values = [row[column] for row in trained if row[column] is not None]
        if values and (column in SCORES or column in SPEEDS):
            best[column] = min(values) if column == "train_seconds" else max(values)

    def shown(row: Row, column: str) -> str:
        text = _text(row[column], column)
        if column == "run" and row["run"] != CHANCE:
            return f"`{text}`"
        bold = row in trained and column in best and row[column] == best[column]
        return f"**{text}**" if bold else text

    body = [[shown(row, column) for column in columns] for row in table]
    return _table(body, columns, "pipe")


def _table(body: list[list[str]], columns: tuple[str, ...], style: str) -> str:
    right = {*SCORES, *SETTINGS, *SPEEDS}
    return tabulate(
        body,
        headers=[HEADINGS[column] for column in columns],
        tablefmt=style,
        colalign=["right" if column in right else "left" for column in columns],
        disable_numparse=True,
    )


def _legend(metrics: Metrics, pretrain: Pretrain) -> Iterable[str]:
    yield "## How to read this"
    optimizers = sorted({str(cell["probe_optimizer"]) for cell in metrics.values()})
    epochs = sorted({int(cell["probe_epochs"]) for cell in metrics.values()})
    if metrics:
        yield (
            f"Encoders are frozen. Probes are trained with {' or '.join(optimizers)} for "
            f"{' or '.join(map(str, epochs))} epochs on the training images. "
            "The learning rate and weight decay of a probe are chosen on validation images, which "
            "were carved from the training images. Only that choice and the default probe ever "
            "meet the test images, public and private."
        )
    yield (
        "All scores are percentages of test images, top-1 unless a heading says otherwise. "
        "Runs are ranked by the public score. **Bold**: the best trained run in a column. "
        f"`{CHANCE}`: always answering the most frequent training class. Baselines, never in bold: "
        "method `random` is the encoder before any training, backbone `pixels` the image averaged "
        f"to 16×16. {DASH}: does not apply."
    )
    lines = [
        [heading, f"`{column}`", meaning]
        for column, (heading, meaning) in (SCORES | SETTINGS).items()
    ]
    lines += [
        [HEADINGS["images_per_s"], "`images_per_s`", "training speed, images (not views) a second"],
        [HEADINGS["train_seconds"], "`train_seconds`", "training time"],
    ]
    yield tabulate(lines, headers=["heading", "column", "meaning"], tablefmt="pipe")
    trained = [
        [f"`{run}`", made["epochs"], made["precision"], made["device"]]
        for run, made in pretrain.items()
        if not is_baseline(made)
    ]
    if trained:
        yield "Training behind the trained runs:"
        yield tabulate(
            trained, headers=["run", "epochs", "precision", "device"], tablefmt="pipe",
            disable_numparse=True, missingval=DASH,
        )  # fmt: skip


def _text(value: Any, column: str) -> str:
    if value is None:
        return DASH
    if column in SCORES:
        return f"{100 * value:.1f}"
    if column in SETTINGS:
        return f"{value:g}"
    if column == "images_per_s":
        return f"{value:,.0f}"
    if column == "train_seconds":
        return _duration(value)
    return str(value)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _names(runs: list[str]) -> str:
    return ", ".join(f"`{run}`" for run in runs)
