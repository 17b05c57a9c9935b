"""The leaderboard: a row for each data set and setting, how sure its scores are, what differs.

`leaderboard` makes one plain dictionary of all of it, reports/leaderboard.json; tables, the page and
the terminal show parts of that. A setting is a run, or the runs that repeat it with other seeds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sslpipe.errors import UserError
from sslpipe.params import Params
from sslpipe.reporting import statistics
from sslpipe.reporting.results import Cell, Results
from sslpipe.reporting.settings import Setting, is_baseline, settings

Row = dict[str, Any]
Json = dict[str, Any]

CHANCE = "chance"
MAIN = ("knn_top1", "probe_top1", "public_top1", "private_top1")
DIGITS = 6  # of statistics; beyond them processors may differ
SPLITS = ("train", "val", "public", "private")

# Which answers a score's interval comes from, and which part of the test images.
RESAMPLED = {
    "knn_top1": ("knn", "overall"),
    "knn_mean_per_class": ("knn", "per_class"),
    "probe_top1": ("probe", "overall"),
    "public_top1": ("probe", "public"),
    "private_top1": ("probe", "private"),
    "probe_mean_per_class": ("probe", "per_class"),
    "knn_weighted_top1": ("knn_weighted", "overall"),
    "knn_top5": ("knn_top5", "overall"),
    "probe_top5": ("probe_top5", "overall"),
    "probe_default_top1": ("default_probe", "overall"),
    "finetune_top1": ("finetune", "overall"),
    "finetune_public_top1": ("finetune", "public"),
    "finetune_private_top1": ("finetune", "private"),
}
PER_CLASS = ("knn", "probe")


def legend(params: Params) -> dict[str, dict[str, str]]:
    """Every column of numbers in display order: heading, meaning, kind (score, setting, feature,
    speed)."""
    evaluate = params.evaluate
    k, epochs = evaluate.knn.k, evaluate.few_labels.epochs
    scores = {
        "knn_top1": ("k-NN", f"majority vote of the {k} nearest training images (cosine)"),
        "probe_top1": ("probe", "linear probe, best cell of the grid"),
        "public_top1": ("public", "the same probe on the public test images"),
        "private_top1": ("private", "the same probe on the private test images"),
        "finetune_top1": ("fine-tuned", "the whole network trained on the labels"),
        "finetune_public_top1": ("fine-tuned public", "the same on the public test images"),
        "finetune_private_top1": ("fine-tuned private", "the same on the private test images"),
    }
    for fraction in evaluate.few_labels.fractions:
        percent = f"{100 * fraction:g}"
        scores[f"fewlabels_{percent}_top1"] = (
            f"{percent} % labels",
            f"linear probe trained for {epochs} epochs on {percent} % of each class's labels, at "
            "least one image",
        )
    scores |= {
        "knn_weighted_top1": (
            "k-NN weighted",
            f"k-NN with votes weighted by exp(similarity / {evaluate.knn.temperature:g})",
        ),
        "knn_top5": ("k-NN top-5", "the true class has a vote and is among the five with the most"),
        "probe_top5": ("probe top-5", "the true class is among the probe's five highest"),
        "knn_mean_per_class": ("k-NN per class", "k-NN top-1 averaged over classes"),
        "probe_mean_per_class": ("probe per class", "probe top-1 averaged over classes"),
        "probe_val_top1": ("probe val", "the probe on validation, which chose the grid cell"),
        "probe_default_top1": (
            "default probe",
            f"a probe with one fixed setting (Adam, lr {evaluate.probe.default.lr:g}, "
            f"{evaluate.probe.default.epochs} epochs)",
        ),
        "probe_gain": ("gain", "probe minus default probe"),
    }
    for number in evaluate.knn.also_k:
        scores[f"knn_{number}_top1"] = (f"{number}-NN", f"k-NN with {number} neighbours")
    columns = {key: (*words, "score") for key, words in scores.items()}
    columns |= {
        "probe_best_lr": ("best lr", "learning rate of the chosen grid cell", "setting"),
        "probe_best_weight_decay": ("best wd", "weight decay of the chosen grid cell", "setting"),
        "effective_rank": (
            "effective rank",
            "dimensions that the training features use (RankMe)",
            "feature",
        ),
        "alignment": (
            "alignment",
            "mean squared distance of two views' unit features; low is aligned",
            "feature",
        ),
        "uniformity": (
            "uniformity",
            "log mean exp(-2 · squared distance) of unit features; low is uniform",
            "feature",
        ),
        "images_per_s": ("images/s", "training speed, images (not views) a second", "speed"),
        "train_seconds": ("training", "training time", "speed"),
        "device_hours": ("device-hours", "training time × devices", "speed"),
        "images_seen": ("images seen", "images × epochs", "speed"),
    }
    names = ("heading", "meaning", "kind")
    return {key: dict(zip(names, words, strict=True)) for key, words in columns.items()}


def leaderboard(results: Results, made_by: Mapping[str, Any]) -> Json:
    """All of it, as plain values; fractions, not percentages.

    Rows of a data set: trained settings by their mean public score, best first, then encoders that
    were not trained, then always answering the most frequent training class. Raises UserError when
    runs of a data set were scored on different images.
    """
    params, pretrain = results.params, results.pretrain
    columns = legend(params)
    scored = [name for name in results.datasets if any(key[0] == name for key in results.metrics)]
    rows, comparisons, shake_up, sets = [], {}, {}, {}
    for dataset in scored:
        metrics = {run: cell for (name, run), cell in results.metrics.items() if name == dataset}
        _same_images(dataset, metrics, results)
        groups = [
            Setting(present[0], present)
            for setting in settings(pretrain)
            if (present := tuple(run for run in setting.runs if run in metrics))
        ]
        sampled = _Sampled(results, dataset, groups)
        encoders = [
            _row(dataset, setting, metrics, results, sampled, list(columns)) for setting in groups
        ]
        encoders.sort(
            key=lambda row: (row["kind"] != "trained", -_mean(row, "public_top1"), row["run"])
        )
        rows += [*encoders, _chance_row(dataset, next(iter(metrics.values())))]
        comparisons[dataset] = sampled.comparisons()
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


class _Sampled:
    """The settings of a data set on the same bootstrap samples of its test images."""

    def __init__(self, results: Results, dataset: str, groups: Sequence[Setting]) -> None:
        self.groups, self.report = groups, results.params.report
        answers = {run: _answers(results, dataset, run) for group in groups for run in group.runs}
        first = next(iter(answers.values()))
        self.images = {
            "overall": len(first["label"]),
            "public": int((~first["private"]).sum()),
            "private": int(first["private"].sum()),
        }
        columns: dict[tuple[str, str], np.ndarray] = {}
        others = dict.fromkeys(name for its in answers.values() for name in _scored(its))
        names = [*PER_CLASS, *(n for n in others if n not in PER_CLASS), "finetune"]
        for name in names:
            for group in groups:
                runs = [run for run in group.runs if name in answers[run]]
                if runs:
                    columns[name, group.name] = statistics.mean_hits(answers, runs, name)
        self.place = {key: i for i, key in enumerate(columns)}
        self.hits = np.stack(list(columns.values()), axis=1)
        self.draws = statistics.bootstrap(
            self.hits,
            first["label"],
            first["private"],
            resamples=self.report.resamples,
            seed=self.report.seed,
            per_class=len(PER_CLASS) * len(groups),
        )

    def interval(self, setting: str, key: str, score: float) -> tuple[float, float] | None:
        """Of a score, or None where there are no answers to resample."""
        few = re.fullmatch(r"(fewlabels_.*)_top1", key)
        name, part = (few[1], "overall") if few else RESAMPLED.get(key, (None, None))
        draws = None if name is None else getattr(self.draws, part)
        if draws is None or (name, setting) not in self.place:
            return None
        return statistics.score_interval(
            draws[:, self.place[name, setting]],
            score,
            self.images.get(part, self.images["overall"]),
            self.report.confidence,
        )

    def comparisons(self) -> Json:
        """Row minus column in probe top-1: difference, interval, p adjusted over all pairs."""
        names = [group.name for group in self.groups]
        places = [self.place["probe", name] for name in names]
        hits, draws = self.hits[:, places], self.draws.overall[:, places]
        mean = hits.mean(axis=0)
        tail = (1 - self.report.confidence) / 2
        low, high = np.quantile(draws[:, :, None] - draws[:, None, :], [tail, 1 - tail], axis=0)
        p = statistics.paired_p_values(hits)
        upper = np.triu_indices(len(names), 1)
        adjusted = np.ones_like(p)
        adjusted[upper] = statistics.holm(p[upper]) if len(upper[0]) else []
        adjusted = np.minimum(adjusted, adjusted.T)
        return {
            "runs": names,
            "difference": _rounded(mean[:, None] - mean[None, :]),
            "low": _rounded(low),
            "high": _rounded(high),
            "p": _rounded(adjusted),
        }


def rows_of(whole: Json, dataset: str) -> list[Row]:
    return [row for row in whole["rows"] if row["dataset"] == dataset]


def compared(whole: Json, dataset: str, run: str, other: str) -> dict[str, float]:
    """difference, low, high and p of two settings of a data set, run minus other."""
    table = whole["comparisons"][dataset]
    i, j = table["runs"].index(run), table["runs"].index(other)
    return {key: table[key][i][j] for key in ("difference", "low", "high", "p")}


# --- rows -------------------------------------------------------------------------------------


def _row(
    dataset: str,
    setting: Setting,
    metrics: Mapping[str, Mapping[str, Any]],
    results: Results,
    sampled: _Sampled,
    columns: Sequence[str],
) -> Row:
    made = [results.pretrain[run] for run in setting.runs]
    baseline, pixels = is_baseline(made[0]), made[0]["backbone"] == "pixels"
    cells = [{**metrics[run], **results.finetuned.get((dataset, run), {})} for run in setting.runs]
    scores = {}
    for key in columns:
        values = [cell[key] for cell in cells if isinstance(cell.get(key), int | float)]
        if not values:
            continue
        mean = float(np.mean(values))
        found = sampled.interval(setting.name, key, mean)
        low, high = (round(end, DIGITS) for end in found) if found else (None, None)
        std = float(np.std(values, ddof=1)) if len(values) > 1 else None
        scores[key] = {"mean": mean, "std": std, "low": low, "high": high, "values": values}
    return {
        "dataset": dataset,
        "run": setting.name,
        "runs": list(setting.runs),
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


def _chance_row(dataset: str, cell: Mapping[str, Any]) -> Row:
    """What always answering the most frequent training class scores."""
    overall = ("knn_top1", "probe_top1", "knn_weighted_top1", "probe_default_top1")
    values = dict.fromkeys(overall, cell["chance_top1"])
    values |= {f"{half}_top1": cell[f"chance_{half}_top1"] for half in ("public", "private")}
    empty = dict.fromkeys(
        ("method", "backbone", "corpus", "epochs", "images_per_s", "train_seconds",
         "device_hours", "images_seen")
    )  # fmt: skip
    return {
        "dataset": dataset, "run": CHANCE, "runs": [], "seeds": [], "kind": "chance", **empty,
        "probe_best": [],
        "scores": {
            key: {"mean": value, "std": None, "low": None, "high": None, "values": [value]}
            for key, value in values.items()
        },
    }  # fmt: skip


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


def _answers(results: Results, dataset: str, run: str) -> dict[str, np.ndarray]:
    """What the run answered, fine-tuned too if it was."""
    tuned = results.finetune_predictions.get((dataset, run), {})
    return {**tuned, **results.predictions[dataset, run]}


def _scored(answers: Mapping[str, np.ndarray]) -> list[str]:
    return [name for name in answers if name not in ("label", "private", "finetune")]


def _same_images(dataset: str, metrics: Mapping[str, Mapping[str, Any]], results: Results) -> None:
    """Refuse to rank runs that were scored on different images."""
    keys = ["classes", *(f"{split}_images" for split in SPLITS), "chance_top1"]
    (first, expected), *others = metrics.items()
    for run, cell in metrics.items():
        if (dataset, run) not in results.predictions:
            path = results.layout.predictions(run, dataset)
            raise UserError(f"{path}: missing; it is made by: sslpipe evaluate {run} {dataset}")
        for key in keys:
            if cell[key] != expected[key]:
                raise UserError(
                    f"{dataset}: {key} is {cell[key]} for {run} but {expected[key]} for {first}; "
                    "they were scored on different images, evaluate again"
                )
    expected = results.predictions[dataset, first]
    for run, _ in others:
        found = results.predictions[dataset, run]
        if any(not np.array_equal(expected[key], found[key]) for key in ("label", "private")):
            raise UserError(
                f"{dataset}: {run} and {first} were scored on different images, evaluate again"
            )
    _same_finetuned(dataset, expected["label"], results)


def _same_finetuned(dataset: str, labels: np.ndarray, results: Results) -> None:
    cells: dict[Cell, dict[str, np.ndarray]] = results.finetune_predictions
    for (name, run), answers in cells.items():
        if name == dataset and not np.array_equal(labels, answers["label"]):
            raise UserError(
                f"{dataset}: {run} was fine-tuned on other images than it was scored on; run "
                f"sslpipe finetune {run} {dataset}"
            )


def _mean(row: Row, key: str) -> float:
    return row["scores"][key]["mean"]


def _rounded(values: np.ndarray) -> list[list[float]]:
    # + 0.0 turns -0.0 into 0.0
    return (np.round(values, DIGITS) + 0.0).tolist()
