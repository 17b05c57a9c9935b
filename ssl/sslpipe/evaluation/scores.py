"""Accuracies from class scores. Pure functions; fractions, not percentages."""

from __future__ import annotations

import torch
from torch import Tensor


def top_k(scores: Tensor, labels: Tensor, k: int) -> float:
    """Fraction of images whose class is among the k highest scores.

    scores (Q, C) float, labels (Q,) int64. Among equal scores the lower label comes first. A class
    whose score is -inf is no answer at all: never a hit, however few the classes.
    """
    return int(in_top_k(scores, labels, k).sum()) / len(labels)


def answers(scores: Tensor) -> Tensor:
    """The class (Q,) int64 with the highest score, of equals the lowest; -1 where all are -inf."""
    highest = scores.amax(dim=1, keepdim=True)
    classes = torch.arange(scores.shape[1], device=scores.device)
    first = torch.where(scores == highest, classes, scores.shape[1]).amin(dim=1)
    return first.masked_fill(highest[:, 0] == -torch.inf, -1)


def in_top_k(scores: Tensor, labels: Tensor, k: int) -> Tensor:
    """(Q,) bool: is an image's class among the k highest scores? As `top_k`, for each image."""
    _check(scores, labels)
    return _rank(scores, labels) < min(k, scores.shape[1])


def mean_per_class(scores: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy of each class, averaged over the classes that occur in `labels`."""
    _check(scores, labels)
    images = torch.bincount(labels, minlength=scores.shape[1])
    hits = torch.bincount(labels[_rank(scores, labels) == 0], minlength=scores.shape[1])
    occurs = images > 0
    return float((hits[occurs].double() / images[occurs]).mean())


def chance(train_labels: Tensor, labels: Tensor) -> float:
    """Top-1 of always answering the most frequent training class (of equals, the lowest label)."""
    if len(train_labels) == 0 or len(labels) == 0:
        raise ValueError("chance needs training labels and labels to score")
    return int((labels == torch.bincount(train_labels).argmax()).sum()) / len(labels)


def _rank(scores: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before the true one (Q,), without a sort and without undefined ties.

    All of them where the true one's score is -inf.
    """
    own = scores.gather(1, labels[:, None])
    lower = torch.arange(scores.shape[1], device=scores.device) < labels[:, None]
    rank = ((scores > own) | ((scores == own) & lower)).sum(dim=1)
    return rank.masked_fill(own.squeeze(1) == -torch.inf, scores.shape[1])


def _check(scores: Tensor, labels: Tensor) -> None:
    if len(labels) == 0:
        raise ValueError("no images to score: the split is empty")
    if len(scores) != len(labels):
        raise ValueError(f"{len(scores)} rows of scores for {len(labels)} labels")
    if not (scores < torch.inf).all():  # NaN too: it is smaller than nothing
        raise ValueError("NaN or infinite class scores")
