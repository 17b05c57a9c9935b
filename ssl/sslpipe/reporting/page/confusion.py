"""Which classes the best run takes for one another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MOST_PAIRS = 12


class Confused(NamedTuple):
    """images: how many of `true`'s were answered with `answered`; share: of all of `true`'s."""

    true: int
    answered: int
    images: int
    share: float


def confused(labels: np.ndarray, answers: np.ndarray, most: int = MOST_PAIRS) -> list[Confused]:
    """The pairs of classes with the most wrong answers; equals by share, then by label.

    labels, answers (M,) int of test images; an answer below 0 is none.
    """
    wrong = (labels != answers) & (answers >= 0)
    pairs, counts = np.unique(np.stack([labels[wrong], answers[wrong]]), axis=1, return_counts=True)
    sizes = np.bincount(labels)
    found = [
        Confused(int(true), int(answered), int(count), float(count / sizes[true]))
        for (true, answered), count in zip(pairs.T, counts, strict=True)
    ]
    return sorted(found, key=lambda pair: (-pair.images, -pair.share, pair))[:most]
