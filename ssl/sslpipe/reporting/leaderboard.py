"""The leaderboard: a row for each data set and setting, how sure its scores are, what differs.

`leaderboard` makes one plain dictionary of all of it, reports/leaderboard.json; tables, the page and
the terminal show parts of that. A setting is a run, or the runs that repeat it with other seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from sslpipe.data.splits import SPLITS
from sslpipe.reporting import statistics
from sslpipe.reporting.paired import DIGITS, Comparison, Group, Json, Sampled, score_of
from sslpipe.reporting.results import Results
from sslpipe.reporting.scores import legend, scores
from sslpipe.reporting.settings import is_baseline, settings

if TYPE_CHECKING:
    from sslpipe.schema.evaluation import Evaluate

Row = dict[str, Any]

CHANCE = "chance"
MAIN = ("knn_top1", "probe_top1", "public_top1", "private_top1")


def leaderboard(results: Results, made_by: Mapping[str, Any]) -> Json:
    """All of it, as plain values; fractions, not percentages.

    Rows of a data set: trained settings by their mean public score, best first, then encoders that
    were not trained, then always answering the most frequent training class. Raises UserError when
    runs of a data set were scored on different images.
    """
    params, pretrain = results.params, results.pretrain
    columns = legend(params.evaluate)
    scored = [name for name in results.datasets if any(key[0] == name for key in results.metrics)]
    rows, comparisons, shake_up, sets = [], {}, {}, {}
    for dataset in scored:
        metrics = {run: cell for (name, run), cell in results.metrics.items() if name == dataset}
        groups = [
            present
            for setting in settings(pretrain)
            if (present := tuple(run for run in setting.runs if run in metrics))
        ]
        sampled = Sampled(results, dataset, groups)
        encoders = [_row(results, dataset, group, sampled, list(columns)) for group in groups]
        encoders.sort(
            key=lambda row: (row["kind"] != "trained", -_mean(row, "public_top1"), row["run"])
        )
        rows += [*encoders, _chance_row(dataset, next(iter(metrics.values())), params.evaluate)]
        comparisons[dataset] = _comparisons(sampled, groups)
        shake_up[dataset] = _shake_up([row for row in encoders if row["kind"] == "trained"])
        first = next(iter(metrics.values()))
        sets[dataset] = {key: first[key] for key in ("classes", *(f"{s}_images" for s in SPLITS))}
        if found := remarks(results, dataset, first):
            sets[dataset]["remarks"] = found
    return {
        "made_by": dict(made_by),
        "legend": columns,
        "main": list(MAIN),
        "datasets": sets,
        "rows": rows,
        "comparisons": comparisons,
        "shake_up": shake_up,
        "missing": {
            "unfinished": results.unfinished,
            "unscored": [{"dataset": name, "run": run} for name, run in results.unscored],
        },
        "pretrain": pretrain,
        "metrics": {
            dataset: {run: cell for (name, run), cell in results.metrics.items() if name == dataset}
            for dataset in scored
        },
    }


def remarks(results: Results, dataset: str, metrics: Mapping[str, Any]) -> list[str]:
    """What a reader of a set's scores must know. metrics: of one of its cells."""
    found = [*results.facts_of(dataset).get("remarks", [])]
    if (k := metrics.get("knn_k")) is not None:
        asked = results.params.evaluate.knn.k
        found.append(f"k-NN with all {k} training images, as there are fewer than k = {asked}")
    return found


def rows_of(whole: Json, dataset: str) -> list[Row]:
    return [row for row in whole["rows"] if row["dataset"] == dataset]


def compared(whole: Json, dataset: str, run: str, other: str) -> Comparison:
    """Two settings of a data set in probe top-1, run minus other."""
    table = whole["comparisons"][dataset]
    i, j = table["runs"].index(run), table["runs"].index(other)
    return Comparison(*(table[key][i][j] for key in Comparison._fields))


# --- rows -------------------------------------------------------------------------------------


def _row(
    results: Results, dataset: str, runs: Group, sampled: Sampled, columns: Sequence[str]
) -> Row:
    made = [results.pretrain[run] for run in runs]
    baseline, pixels = is_baseline(made[0]), made[0]["backbone"] == "pixels"
    keys = [(dataset, run) for run in runs]
    cells = [{**results.metrics[key], **results.finetuned.get(key, {})} for key in keys]
    scores = {
        key: sampled.score(key, runs, values)
        for key in columns
        if (values := [c[key] for c in cells if isinstance(c.get(key), int | float)])
    }
    return {
        "dataset": dataset,
        "run": runs[0],
        "runs": list(runs),
        "seeds": [report["parameters"]["pretrain"]["seed"] for report in made],
        "kind": "baseline" if baseline else "trained",
        "method": None if pixels else made[0]["method"],
        "backbone": made[0]["backbone"],
        "corpus": None if baseline else made[0]["corpus"],
        "epochs": None if baseline else made[0]["epochs"],
        **speeds(made),
        "probe_best": [
            [cell[f"probe_best_{key}"] for key in ("optimizer", "lr", "weight_decay", "on_edge")]
            for cell in cells
        ],
        "scores": scores,
    }


def speeds(made: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Means over the training reports of a setting; None where nothing was trained or measured."""
    if is_baseline(made[0]):
        return dict.fromkeys(("images_per_s", "train_seconds", "device_hours", "images_seen"))
    each = {
        "images_per_s": [report["images_per_s"] for report in made],
        "train_seconds": [report["train_seconds"] for report in made],
        "device_hours": [
            report["train_seconds"] * max(1, report["gpus"]) / 3600 for report in made
        ],
        "images_seen": [report["images"] * report["epochs"] for report in made],
    }
    return {key: None if None in values else float(np.mean(values)) for key, values in each.items()}


def _chance_row(dataset: str, cell: Mapping[str, Any], evaluate: Evaluate) -> Row:
    """What always answering the most frequent training class scores."""
    values = {row.key: cell[row.chance] for row in scores(evaluate) if row.chance}
    empty = dict.fromkeys(
        ("method", "backbone", "corpus", "epochs", "images_per_s", "train_seconds",
         "device_hours", "images_seen")
    )  # fmt: skip
    return {
        "dataset": dataset, "run": CHANCE, "runs": [], "seeds": [], "kind": "chance", **empty,
        "probe_best": [],
        "scores": {key: score_of([value]) for key, value in values.items()},
    }  # fmt: skip


def _comparisons(sampled: Sampled, groups: Sequence[Group]) -> Json:
    """Of every two in probe top-1, as matrices: row minus column."""
    pairs = list(combinations(range(len(groups)), 2))
    found = sampled.compare("probe_top1", [(groups[i], groups[j]) for i, j in pairs])
    same = Comparison(0.0, 0.0, 0.0, 1.0)
    matrix = [[same] * len(groups) for _ in groups]
    for (i, j), comparison in zip(pairs, found, strict=True):
        matrix[i][j], matrix[j][i] = comparison, -comparison
    parts = {key: [[getattr(c, key) for c in row] for row in matrix] for key in Comparison._fields}
    return {"runs": [group[0] for group in groups], **parts}


def _shake_up(trained: Sequence[Row]) -> Json:
    """Does the private half confirm the order of the public one? Equal scores share a rank."""
    public, private = (
        [_mean(row, key) for row in trained] for key in ("public_top1", "private_top1")
    )
    correlation = statistics.rank_correlation(public, private)
    return {
        "rank_correlation": None if correlation is None else round(correlation, DIGITS),
        "moves": [
            {
                "run": row["run"],
                "public_rank": 1 + sum(other > mine for other in public),
                "private_rank": 1 + sum(other > its for other in private),
            }
            for row, mine, its in zip(trained, public, private, strict=True)
        ],
    }


def _mean(row: Row, key: str) -> float:
    return row["scores"][key]["mean"]
