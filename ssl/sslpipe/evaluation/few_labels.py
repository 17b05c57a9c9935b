"""Which training images keep their labels when only a part of them may."""

from __future__ import annotations

import torch
from torch import Tensor


def labelled_part(labels: Tensor, fraction: float, seed: int) -> Tensor:
    """Rows (n,) int64, ascending: of each class that share of its images, rounded, at least one.

    labels (N,) int64 on the CPU. The same labels and seed give the same rows, and a smaller fraction
    some of the rows of a larger one.
    """
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(labels), generator=generator)
    chosen = []
    for label in labels.unique().tolist():
        of_class = shuffled[labels[shuffled] == label]
        chosen.append(of_class[: max(1, round(fraction * len(of_class)))])
    return torch.cat(chosen).sort().values
