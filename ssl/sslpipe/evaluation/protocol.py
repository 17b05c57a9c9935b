"""The evaluation protocol: one set of features in, one flat dictionary of scores out.

The probe's grid cell is chosen on the validation split, which was carved from the training images.
Test images ("public" and "private") are scored once, with that cell and with the fixed default
probe. That is the study's, and always trained with Adam, whatever the grid's optimizer is: its
learning rate makes sense with Adam on standardised features only.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslpipe.evaluation.knn import nearest, vote
from sslpipe.evaluation.probe import Probes, fit_probes, standardise
from sslpipe.evaluation.scores import chance, mean_per_class, top_k

SPLITS = ("train", "val", "public", "private")
Score = float | int | bool | str


def evaluate(
    features: np.ndarray,
    labels: np.ndarray,
    splits: np.ndarray,
    settings: Any,
    seed: int,
    device: str | torch.device = "cpu",
) -> dict[str, Score]:
    """All scores of one encoder on one data set, keys in a fixed order; accuracies are fractions.

    features (N, D) float32, labels (N,) int64 from 0, splits (N,) names out of SPLITS. settings:
    knn.{k, temperature}, probe.{optimizer, epochs, batch_size, lr, weight_decay} with the last two
    the grid's axes, and probe.default.{lr, epochs} (always Adam). Keys without a split's name are
    public and private together. Raises ValueError for input that cannot be scored.
    """
    rows = _rows(features, labels, splits)
    classes = int(labels.max()) + 1
    part = {name: torch.from_numpy(features[rows[name]]).to(device) for name in SPLITS}
    label = {name: torch.from_numpy(labels[rows[name]]).long().to(device) for name in SPLITS}
    result: dict[str, Score] = {"classes": classes, "feature_dim": features.shape[1]}
    result |= {f"{name}_images": len(rows[name]) for name in SPLITS}
    result |= _chance(label)
    result |= _knn(part, label, classes, settings.knn)
    mean, deviation = standardise(part["train"])
    for name in SPLITS:
        part[name] = (part[name] - mean) / deviation
    result |= _probe(part, label, classes, settings.probe, seed)
    return result


def best_cell(
    probes: Probes, cells: list[tuple[float, float]], features: Tensor, labels: Tensor
) -> tuple[int, float]:
    """Number and top-1 of the best grid cell on (validation) features (Q, D) and labels (Q,).

    Equally good cells: the smaller learning rate, then the smaller weight decay. A diverged cell
    scores zero.
    """
    # One at a time, for the logits of a whole grid may not fit.
    accuracy = [top_k(_answers(probes[cell], features), labels, 1) for cell in range(len(cells))]
    best = min(range(len(cells)), key=lambda cell: (-accuracy[cell], *cells[cell]))
    return best, accuracy[best]


def on_edge(cell: tuple[float, float], lr: list[float], weight_decay: list[float]) -> bool:
    """Does the best cell lie at an end of an axis, so that a wider grid might do better?

    An axis of one value has no ends. No weight decay at all is a natural bound, not an edge.
    """
    best_lr, best_decay = cell
    lr_edge = len(set(lr)) > 1 and best_lr in (min(lr), max(lr))
    decay_edge = len(set(weight_decay)) > 1 and (
        best_decay == max(weight_decay) or (best_decay == min(weight_decay) and best_decay > 0)
    )
    return lr_edge or decay_edge


def _rows(features: np.ndarray, labels: np.ndarray, splits: np.ndarray) -> dict[str, np.ndarray]:
    """Row numbers of each split, after checking that the arrays belong together."""
    if not len(features) == len(labels) == len(splits):
        raise ValueError(
            f"{len(features)} features, {len(labels)} labels and {len(splits)} splits do not match"
        )
    unknown = sorted(set(np.unique(splits).tolist()) - set(SPLITS))
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


def _knn(
    part: dict[str, Tensor], label: dict[str, Tensor], classes: int, settings: Any
) -> dict[str, Score]:
    """k-NN scores; the bank is the training split alone."""

    def votes(name: str) -> tuple[Tensor, Tensor]:
        similarity, index = nearest(
            part["train"], part[name], settings.k, bank_labels=label["train"]
        )
        voters = label["train"][index]
        majority = vote(similarity, voters, classes)
        return (
            # Else a class without a vote could be among the top five, for its low label alone.
            majority.masked_fill(majority == 0, -torch.inf),
            vote(similarity, voters, classes, settings.temperature),
        )

    validation, _ = votes("val")
    public, public_weighted = votes("public")
    private, private_weighted = votes("private")
    test = torch.cat([public, private])
    test_label = torch.cat([label["public"], label["private"]])
    return {
        "knn_top1": top_k(test, test_label, 1),
        "knn_top5": top_k(test, test_label, 5),
        "knn_mean_per_class": mean_per_class(test, test_label),
        "knn_val_top1": top_k(validation, label["val"], 1),
        "knn_public_top1": top_k(public, label["public"], 1),
        "knn_private_top1": top_k(private, label["private"], 1),
        "knn_weighted_top1": top_k(torch.cat([public_weighted, private_weighted]), test_label, 1),
    }


def _probe(
    part: dict[str, Tensor], label: dict[str, Tensor], classes: int, settings: Any, seed: int
) -> dict[str, Score]:
    """Probes on standardised features; the choice is made before a test image is seen."""
    lr, weight_decay = list(settings.lr), list(settings.weight_decay)
    cells = list(product(lr, weight_decay))

    def fit(cells: list[tuple[float, float]], epochs: int, optimizer: str) -> Probes:
        return fit_probes(
            part["train"],
            label["train"],
            classes,
            cells,
            epochs=epochs,
            batch_size=settings.batch_size,
            optimizer=optimizer,
            seed=seed,
        )

    grid = fit(cells, settings.epochs, settings.optimizer)
    best, best_val = best_cell(grid, cells, part["val"], label["val"])
    default_cells = [(settings.default.lr, 0.0)]
    default = fit(default_cells, settings.default.epochs, "adam")
    _, default_val = best_cell(default, default_cells, part["val"], label["val"])

    public, private = (_answers(grid[best], part[name]) for name in ("public", "private"))
    test = torch.cat([public, private])
    test_label = torch.cat([label["public"], label["private"]])
    default_test = torch.cat([_answers(default, part[name]) for name in ("public", "private")])
    top1 = top_k(test, test_label, 1)
    default_top1 = top_k(default_test, test_label, 1)
    return {
        "probe_top1": top1,
        "probe_top5": top_k(test, test_label, 5),
        "probe_mean_per_class": mean_per_class(test, test_label),
        "probe_val_top1": best_val,
        "public_top1": top_k(public, label["public"], 1),
        "private_top1": top_k(private, label["private"], 1),
        "probe_best_lr": float(cells[best][0]),
        "probe_best_weight_decay": float(cells[best][1]),
        "probe_best_on_edge": on_edge(cells[best], lr, weight_decay),
        "probe_optimizer": str(settings.optimizer),
        "probe_epochs": int(settings.epochs),
        "probe_default_val_top1": default_val,
        "probe_default_top1": default_top1,
        "probe_gain": top1 - default_top1,
    }


def _answers(probe: Probes, features: Tensor) -> Tensor:
    """Class scores (Q, C) of a single probe; all -inf, which is never a hit, if it diverged."""
    logits = probe.logits(features)[0]
    return logits if logits.isfinite().all() else torch.full_like(logits, -torch.inf)
