"""The scores, a row each: what they are called and mean, and what stands behind them.

Leaderboard, legend, page, terminal and paired tests read this table. A new score is a row here, and its
value by the same key among what `evaluation.protocol` or a training's report gives.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sslpipe.schema.evaluation import Evaluate

MAIN = "Main scores"
TUNING, FEW, SHAPE, TRAINING = "Fine-tuning", "Few labels", "Shape of features", "Training"
NUMBERS, CHOSEN, FURTHER = "Number of neighbours", "Chosen probe", "Further scores"
GROUPS = (MAIN, TUNING, FEW, NUMBERS, CHOSEN, SHAPE, TRAINING, FURTHER)


class Score(NamedTuple):
    """kind: score (a share of test images), setting, feature or speed. group: of the page's columns.
    answers: which predictions it is of, and of which test images (overall, public, private, per_class);
    it has intervals and paired tests by them. chance: the key of the score of answering the most
    frequent training class; '' where that says nothing."""

    key: str
    heading: str
    meaning: str
    kind: str = "score"
    group: str = FURTHER
    answers: tuple[str, str] | None = None
    chance: str = ""


BY_HALF = [
    Score(
        f"{half}_top1", half, f"the same probe on the {half} test images",
        group=MAIN, answers=("probe", half), chance=f"chance_{half}_top1",
    )
    for half in ("public", "private")
]  # fmt: skip
TUNED_BY_HALF = [
    Score(
        f"finetune_{half}_top1", f"fine-tuned {half}", f"the same on the {half} test images",
        group=TUNING, answers=("finetune", half),
    )
    for half in ("public", "private")
]  # fmt: skip
# {…} in a meaning is filled in from params.yaml.
FIRST = (
    Score(
        "knn_top1", "k-NN", "majority vote of the {knn.k} nearest training images (cosine)",
        group=MAIN, answers=("knn", "overall"), chance="chance_top1",
    ),
    Score(
        "probe_top1", "probe", "linear probe, best cell of the grid",
        group=MAIN, answers=("probe", "overall"), chance="chance_top1",
    ),
    *BY_HALF,
    Score(
        "finetune_top1", "fine-tuned", "the whole network trained on the labels",
        group=TUNING, answers=("finetune", "overall"),
    ),
    *TUNED_BY_HALF,
)  # fmt: skip
OTHERS = (
    Score(
        "knn_weighted_top1", "k-NN weighted",
        "k-NN with votes weighted by exp(similarity / {knn.temperature:g})",
        answers=("knn_weighted", "overall"), chance="chance_top1",
    ),
    Score(
        "knn_top5", "k-NN top-5", "the true class has a vote and is among the five with the most",
        answers=("knn_top5", "overall"),
    ),
    Score(
        "probe_top5", "probe top-5", "the true class is among the probe's five highest",
        answers=("probe_top5", "overall"),
    ),
    Score(
        "knn_mean_per_class", "k-NN per class", "k-NN top-1 averaged over classes",
        answers=("knn", "per_class"),
    ),
    Score(
        "probe_mean_per_class", "probe per class", "probe top-1 averaged over classes",
        answers=("probe", "per_class"),
    ),
    Score("probe_val_top1", "probe val", "the probe on validation, which chose the grid cell"),
    Score(
        "probe_default_top1", "default probe",
        "a probe with one fixed setting (Adam, lr {probe.default.lr:g}, {probe.default.epochs} epochs)",
        answers=("default_probe", "overall"), chance="chance_top1",
    ),
    Score("probe_gain", "gain", "probe minus default probe"),
)  # fmt: skip
CHOICES = (
    Score("probe_best_lr", "best lr", "learning rate of the chosen grid cell", "setting", CHOSEN),
    Score(
        "probe_best_weight_decay",
        "best wd",
        "weight decay of the chosen grid cell",
        "setting",
        CHOSEN,
    ),
)
FEATURES = (
    Score(
        "effective_rank", "effective rank", "dimensions that the training features use (RankMe)",
        "feature", SHAPE,
    ),
    Score(
        "alignment", "alignment", "mean squared distance of two views' unit features; low is aligned",
        "feature", SHAPE,
    ),
    Score(
        "uniformity", "uniformity",
        "log mean exp(-2 · squared distance) of unit features; low is uniform", "feature", SHAPE,
    ),
)  # fmt: skip
SPEEDS = (
    Score(
        "images_per_s", "images/s", "training speed, images (not views) a second", "speed", TRAINING
    ),
    Score("train_seconds", "training", "training time", "speed", TRAINING),
    Score("device_hours", "device-hours", "training time × devices", "speed", TRAINING),
    Score("images_seen", "images seen", "images × epochs", "speed", TRAINING),
)
FEW_LABELS = re.compile(r"(fewlabels_.+)_top1")


def answers_to(key: str) -> tuple[str, str] | None:
    """`answers` of the score of this key, whatever params.yaml says."""
    if few := FEW_LABELS.fullmatch(key):
        return few[1], "overall"
    return next((row.answers for row in (*FIRST, *OTHERS) if row.key == key), None)


def scores(evaluate: "Evaluate") -> Iterator[Score]:
    """In the order in which they are shown."""
    yield from (_filled(row, evaluate) for row in FIRST)
    for fraction in evaluate.few_labels.fractions:
        percent = f"{100 * fraction:g}"
        yield Score(
            f"fewlabels_{percent}_top1", f"{percent} % labels",
            f"linear probe trained for {evaluate.few_labels.epochs} epochs on {percent} % of each class's "
            "labels, at least one image",
            group=FEW, answers=(f"fewlabels_{percent}", "overall"),
        )  # fmt: skip
    yield from (_filled(row, evaluate) for row in OTHERS)
    for number in evaluate.knn.also_k:
        yield Score(
            f"knn_{number}_top1", f"{number}-NN", f"k-NN with {number} neighbours", group=NUMBERS
        )
    yield from (*CHOICES, *FEATURES, *SPEEDS)


def _filled(row: Score, evaluate: "Evaluate") -> Score:
    return row._replace(meaning=row.meaning.format(knn=evaluate.knn, probe=evaluate.probe))


def legend(evaluate: "Evaluate") -> dict[str, dict[str, str]]:
    """key → heading, meaning, kind and group, in the order in which they are shown."""
    said = ("heading", "meaning", "kind", "group")
    return {row.key: {name: getattr(row, name) for name in said} for row in scores(evaluate)}
