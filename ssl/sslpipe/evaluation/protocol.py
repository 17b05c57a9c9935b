"""The evaluation protocol: one set of features in, scores and answers out.

The probe's grid cell is chosen on the validation split, which was carved from the training images.
Test images ("public" and "private") are scored once, with that cell, and with the fixed default
probe. That is the study's, and always trained with Adam, whatever the grid's optimizer is: its
learning rate makes sense with Adam on standardised features only. Probes that see a part of the
labels make the same choice anew, and are scored once too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sslpipe.data.splits import SPLITS
from sslpipe.evaluation.chosen import UNUSED, evenly
from sslpipe.evaluation.few_labels import labelled_part
from sslpipe.evaluation.grid import best_cell, cells_of, choose, fit_grid, logits_of, on_edge
from sslpipe.evaluation.knn import nearest, vote
from sslpipe.evaluation.probe import standardise
from sslpipe.evaluation.rank import effective_rank
from sslpipe.evaluation.scores import answers, chance, in_top_k, mean_per_class, top_k
from sslpipe.evaluation.structure import (
    MAP_IMAGES,
    STRIP_LENGTH,
    STRIPS,
    alignment,
    feature_map,
    placed,
    strip,
    uniformity,
)
from sslpipe.schema.evaluation import Evaluate, Knn

Score = float | int | bool | str | None
Of = dict[str, Tensor]  # by split, and "test": public, then private


class Evaluation(NamedTuple):
    """What is known of one encoder on one data set.

    scores: flat, keys in a fixed order; accuracies are fractions, None where there are too few
    images. predictions: for each test image (M,), the public before the private ones: label, knn,
    probe int32 (-1: no answer), private, knn_top5, knn_weighted, probe_top5, default_probe and
    fewlabels_<percent> bool. features: classes, grid, map, neighbours, as JSON.
    """

    scores: dict[str, Score]
    predictions: dict[str, np.ndarray]
    features: dict[str, Any]


def evaluate(
    features: np.ndarray,
    labels: np.ndarray,
    splits: np.ndarray,
    views: np.ndarray,
    classes: Sequence[str],
    settings: Evaluate,
    device: str | torch.device = "cpu",
) -> Evaluation:
    """Score the frozen features of one encoder on one data set.

    features (N, D) float32, labels (N,) int64 below the number of classes (their names), splits (N,)
    names out of SPLITS or UNUSED, views (2, n, D) float32: features of two views of some images. Scores
    without a split's name are of public and private together. Raises ValueError for input that
    cannot be scored.
    """
    rows = _rows(features, labels, splits)
    part = {name: torch.from_numpy(features[rows[name]]).to(device) for name in SPLITS}
    label = {name: torch.from_numpy(labels[rows[name]]).long().to(device) for name in SPLITS}
    part["test"], label["test"] = (torch.cat([of["public"], of["private"]]) for of in (part, label))
    scores: dict[str, Score] = {"classes": len(classes), "feature_dim": features.shape[1]}
    scores |= {f"{name}_images": len(rows[name]) for name in SPLITS}
    scores |= _chance(label)
    predictions = {
        "label": _int32(label["test"]),
        "private": np.arange(len(label["test"])) >= len(rows["public"]),
    }
    knn = _knn(part, label, len(classes), settings.knn)
    shape = _structure(part, views)
    places = _map(part["test"], rows, labels, settings.seed)
    mean, deviation = standardise(part["train"])
    part = {name: (some - mean) / deviation for name, some in part.items()}
    probe = _probe(part, label, len(classes), settings)
    few = _few_labels(part, label, len(classes), settings)
    described = {
        "classes": list(classes),
        "grid": probe.features["grid"],
        "map": places,
        "neighbours": _strips(knn, rows, labels),
    }
    return Evaluation(
        scores | knn.scores | probe.scores | few.scores | shape,
        predictions | knn.predictions | probe.predictions | few.predictions,
        described,
    )


def _rows(features: np.ndarray, labels: np.ndarray, splits: np.ndarray) -> dict[str, np.ndarray]:
    """Row numbers of each split, after checking that the arrays belong together."""
    if not len(features) == len(labels) == len(splits):
        raise ValueError(
            f"{len(features)} features, {len(labels)} labels and {len(splits)} splits do not match"
        )
    unknown = sorted(set(np.unique(splits).tolist()) - {*SPLITS, UNUSED})
    if unknown:
        raise ValueError(f"unknown split {unknown[0]!r}, known: {', '.join(SPLITS)}")
    rows = {name: np.flatnonzero(splits == name) for name in SPLITS}
    empty = [name for name in SPLITS if len(rows[name]) == 0]
    if empty:
        raise ValueError(f"no images in split {' and '.join(empty)}: nothing can be scored")
    if labels.min() < 0:
        raise ValueError("labels must not be negative")
    return rows


def _chance(label: dict[str, Tensor]) -> dict[str, Score]:
    test = torch.cat([label["public"], label["private"]])
    return {
        "chance_top1": chance(label["train"], test),
        "chance_public_top1": chance(label["train"], label["public"]),
        "chance_private_top1": chance(label["train"], label["private"]),
    }


def _knn(part: Of, label: Of, classes: int, settings: Knn) -> Evaluation:
    """k-NN scores; the bank is the training split alone. `features`: the nearest of each test image."""
    bank = part["train"]
    # As many as the furthest asks for, found once; fewer neighbours are the first of them.
    others = [k for k in settings.also_k if k <= len(bank)]
    k = min(settings.k, len(bank))
    most = max([k, *others])

    def voters(name: str) -> tuple[Tensor, Tensor, Tensor]:
        similarity, index = nearest(bank, part[name], most, bank_labels=label["train"])
        return similarity, index, label["train"][index]

    def majority(similarity: Tensor, voted: Tensor, k: int) -> Tensor:
        votes = vote(similarity[:, :k], voted[:, :k], classes)
        # Else a class without a vote could be among the top five, for its low label alone.
        return votes.masked_fill(votes == 0, -torch.inf)

    validation, _, val_voters = voters("val")
    similarity, index, test_voters = voters("test")
    test = majority(similarity, test_voters, k)
    weighted = vote(similarity[:, :k], test_voters[:, :k], classes, settings.temperature)
    public = slice(0, len(label["public"]))
    private = slice(len(label["public"]), None)
    scores: dict[str, Score] = {
        "knn_top1": top_k(test, label["test"], 1),
        "knn_top5": top_k(test, label["test"], 5),
        "knn_mean_per_class": mean_per_class(test, label["test"]),
        "knn_val_top1": top_k(majority(validation, val_voters, k), label["val"], 1),
        "knn_public_top1": top_k(test[public], label["public"], 1),
        "knn_private_top1": top_k(test[private], label["private"], 1),
        "knn_weighted_top1": top_k(weighted, label["test"], 1),
    }
    if k < settings.k:
        scores["knn_k"] = k
    for number in settings.also_k:
        votes = majority(similarity, test_voters, number) if number in others else None
        scores[f"knn_{number}_top1"] = None if votes is None else top_k(votes, label["test"], 1)
    predictions = {
        "knn": _int32(answers(test)),
        "knn_top5": in_top_k(test, label["test"], 5).cpu().numpy(),
        "knn_weighted": in_top_k(weighted, label["test"], 1).cpu().numpy(),
    }
    found = {"similarity": similarity.cpu().numpy(), "index": index.cpu().numpy()}
    return Evaluation(scores, predictions, found)


def _probe(part: Of, label: Of, classes: int, settings: Evaluate) -> Evaluation:
    """Probes on standardised features; the choice is made before a test image is seen."""
    probe = settings.probe
    fit = partial(fit_grid, part["train"], label["train"], classes, probe.batch_size, settings.seed)
    grids = fit(probe.epochs, cells_of(probe))
    cell, chosen, best_val, accuracies = choose(grids, part["val"], label["val"])
    (default,) = fit(probe.default.epochs, {"adam": [(probe.default.lr, 0.0)]})
    _, (default_val,) = best_cell(default.probes, default.cells, part["val"], label["val"])

    halves = ("public", "private")
    public, private = (logits_of(chosen, part[name]) for name in halves)
    test = torch.cat([public, private])
    default_test = torch.cat([logits_of(default.probes, part[name]) for name in halves])
    top1, default_top1 = (top_k(some, label["test"], 1) for some in (test, default_test))
    optimizer, lr, weight_decay = cell
    scores: dict[str, Score] = {
        "probe_top1": top1,
        "probe_top5": top_k(test, label["test"], 5),
        "probe_mean_per_class": mean_per_class(test, label["test"]),
        "probe_val_top1": best_val,
        "public_top1": top_k(public, label["public"], 1),
        "private_top1": top_k(private, label["private"], 1),
        "probe_best_optimizer": optimizer,
        "probe_best_lr": float(lr),
        "probe_best_weight_decay": float(weight_decay),
        "probe_best_on_edge": on_edge((lr, weight_decay), list(probe.lr), list(probe.weight_decay)),
        "probe_epochs": int(probe.epochs),
        "probe_default_val_top1": default_val,
        "probe_default_top1": default_top1,
        "probe_gain": top1 - default_top1,
    }
    predictions = {
        "probe": _int32(answers(test)),
        "probe_top5": in_top_k(test, label["test"], 5).cpu().numpy(),
        "default_probe": in_top_k(default_test, label["test"], 1).cpu().numpy(),
    }
    return Evaluation(scores, predictions, {"grid": accuracies})


def _few_labels(part: Of, label: Of, classes: int, settings: Evaluate) -> Evaluation:
    """The grid again, each probe trained on a part of the labels; chosen on validation as ever."""
    scores: dict[str, Score] = {}
    predictions = {}
    for fraction in settings.few_labels.fractions:
        rows = labelled_part(label["train"].cpu(), fraction, settings.seed)
        rows = rows.to(part["train"].device)
        grids = fit_grid(
            part["train"][rows],
            label["train"][rows],
            classes,
            settings.probe.batch_size,
            settings.seed,
            settings.few_labels.epochs,
            cells_of(settings.probe),
        )
        _, chosen, _, _ = choose(grids, part["val"], label["val"])
        name = f"fewlabels_{100 * fraction:g}"
        hits = in_top_k(logits_of(chosen, part["test"]), label["test"], 1)
        scores[f"{name}_top1"] = int(hits.sum()) / len(hits)
        predictions[name] = hits.cpu().numpy()
    return Evaluation(scores, predictions, {})


def _structure(part: Of, views: np.ndarray) -> dict[str, Score]:
    """effective_rank of the training features, the others of images that were not trained on."""
    held_out = torch.cat([part["val"], part["test"]])
    return {
        "effective_rank": effective_rank(part["train"]),
        "alignment": alignment(torch.from_numpy(views)),
        "uniformity": uniformity(held_out),
    }


def _map(
    test: Tensor, rows: dict[str, np.ndarray], labels: np.ndarray, seed: int
) -> dict[str, Any]:
    chosen = evenly(len(test), MAP_IMAGES)
    images = np.concatenate([rows["public"], rows["private"]])[chosen]
    return placed(images, labels[images], feature_map(test[chosen].cpu(), seed))


def _strips(
    knn: Evaluation, rows: dict[str, np.ndarray], labels: np.ndarray
) -> list[dict[str, Any]]:
    """Some test images and their nearest training images."""
    test = np.concatenate([rows["public"], rows["private"]])
    strips = []
    for query in evenly(len(test), STRIPS):
        nearest_rows = rows["train"][knn.features["index"][query, :STRIP_LENGTH]]
        strips.append(
            strip(
                test[query],
                labels[test[query]],
                nearest_rows,
                labels[nearest_rows],
                knn.features["similarity"][query, :STRIP_LENGTH],
            )
        )
    return strips


def _int32(values: Tensor) -> np.ndarray:
    return values.to(torch.int32).cpu().numpy()
