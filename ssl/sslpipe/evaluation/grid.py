"""A grid of linear probes, of which validation images choose one."""

from collections.abc import Mapping
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sslpipe.evaluation.probe import Probes, fit_probes
from sslpipe.evaluation.scores import top_k
from sslpipe.schema.evaluation import Probe

Cell = tuple[float, float]  # learning rate, weight decay


class Fitted(NamedTuple):
    optimizer: str
    cells: list[Cell]
    probes: Probes


def cells_of(probe: Probe) -> dict[str, list[Cell]]:
    """optimiser → its (learning rate, weight decay) cells."""
    return {name: list(product(probe.lr, probe.weight_decay)) for name in probe.optimizer}


def fit_grid(
    features: Tensor,
    labels: Tensor,
    classes: int,
    batch_size: int,
    seed: int,
    epochs: int,
    grid: Mapping[str, list[Cell]],
) -> list[Fitted]:
    return [
        Fitted(
            optimizer,
            cells,
            fit_probes(
                features,
                labels,
                classes,
                cells,
                epochs=epochs,
                batch_size=batch_size,
                optimizer=optimizer,
                seed=seed,
            ),
        )
        for optimizer, cells in grid.items()
    ]


def choose(
    grids: list[Fitted], features: Tensor, labels: Tensor
) -> tuple[tuple[str, float, float], Probes, float, list[dict[str, Any]]]:
    """The best cell on validation: its place, its probe, its top-1; and top-1 of all cells. Of equal
    optimisers the one that params.yaml names first."""
    accuracies: list[dict[str, Any]] = []
    best: tuple[tuple[str, float, float], Probes, float] | None = None
    for optimizer, cells, probes in grids:
        number, accuracy = best_cell(probes, cells, features, labels)
        for (lr, weight_decay), top1 in zip(cells, accuracy, strict=True):
            accuracies.append(
                {
                    "optimizer": optimizer,
                    "lr": float(lr),
                    "weight_decay": float(weight_decay),
                    "val_top1": top1,
                }
            )
        if best is None or accuracy[number] > best[2]:
            best = ((optimizer, *cells[number]), probes[number], accuracy[number])
    assert best is not None, "a grid has a cell at least"
    return *best, accuracies


def best_cell(
    probes: Probes, cells: list[Cell], features: Tensor, labels: Tensor
) -> tuple[int, list[float]]:
    """Number of the best grid cell on (validation) features (Q, D) and labels (Q,), and top-1 of all.

    Equally good cells: the smaller learning rate, then the smaller weight decay. A diverged cell
    scores zero.
    """
    # One at a time, for the logits of a whole grid may not fit.
    accuracy = [top_k(logits_of(probes[cell], features), labels, 1) for cell in range(len(cells))]
    best = min(range(len(cells)), key=lambda cell: (-accuracy[cell], *cells[cell]))
    return best, accuracy


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


def logits_of(probe: Probes, features: Tensor) -> Tensor:
    """Class scores (Q, C) of a single probe; all -inf, which is never a hit, if it diverged."""
    logits = probe.logits(features)[0]
    return logits if logits.isfinite().all() else torch.full_like(logits, -torch.inf)
