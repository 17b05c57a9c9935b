"""How sure a score is: bootstrap intervals over images, paired tests, correction, rank correlation.

Pure functions of hits: whether a run was right on an image. All runs of a data set are resampled
with the same images, so that differences between runs are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special  # and not scipy.stats, which takes two seconds to import

AT_A_TIME = 256  # bootstrap samples in memory
MOST_SEEDS = 60  # of a setting, or the least common multiple of several settings' numbers


@dataclass(frozen=True)
class Draws:
    """Bootstrap samples of scores: each array is (resamples, columns of `hits`), fractions.

    public and private are None where the set has no image of that half, per_class where it was not
    asked for (it has as many columns as were).
    """

    overall: np.ndarray
    public: np.ndarray | None
    private: np.ndarray | None
    per_class: np.ndarray | None


def bootstrap(
    hits: np.ndarray,
    labels: np.ndarray,
    private: np.ndarray,
    *,
    resamples: int,
    seed: int,
    per_class: int = 0,
) -> Draws:
    """Resample images with replacement and score every column of `hits` on each sample.

    hits (M, K): 0 or 1, or a mean over seeds in between; labels (M,) int; private (M,) bool;
    per_class: of so many of the first columns the accuracy averaged over classes too. A class that
    a sample has no image of is left out of that average; a half without an image scores 0. Efron
    1979.
    """
    images = len(hits)
    order = np.lexsort((labels, private))
    hits, scale = _whole(hits[order])
    publics = int((~private).sum())
    by_class = np.argsort(labels[order], kind="stable")
    classes = np.split(by_class, np.cumsum(np.unique(labels, return_counts=True)[1])[:-1])
    parts: dict[str, list[np.ndarray]] = {"overall": [], "public": [], "private": [], "classes": []}
    for weights in _weights(images, resamples, seed, hits.dtype):
        public, other = (
            (some @ part, some.sum(axis=1, keepdims=True))
            for some, part in (
                (weights[:, :publics], hits[:publics]),
                (weights[:, publics:], hits[publics:]),
            )
        )
        parts["overall"].append((public[0] + other[0]) / np.float64(images))
        for name, (right, number) in (("public", public), ("private", other)):
            parts[name].append(right / np.maximum(number, 1, dtype=np.float64))
        if per_class:
            parts["classes"].append(_per_class(weights, hits[:, :per_class], classes))
    whole = {name: np.concatenate(some) / scale for name, some in parts.items() if some}
    return Draws(
        whole["overall"],
        whole["public"] if publics else None,
        whole["private"] if publics < images else None,
        whole.get("classes"),
    )


def _whole(hits: np.ndarray) -> tuple[np.ndarray, int]:
    """The hits times a whole number that makes them whole, and that number: the seeds they are means
    over. Whole numbers add up exactly in float32, in any order, so that every processor agrees."""
    for scale in range(1, MOST_SEEDS + 1):
        scaled = hits * scale
        if np.abs(scaled - np.rint(scaled)).max() < 1e-6:
            return np.ascontiguousarray(np.rint(scaled), dtype=np.float32), scale
    return np.ascontiguousarray(hits, dtype=np.float64), 1


def _per_class(weights: np.ndarray, hits: np.ndarray, classes: list[np.ndarray]) -> np.ndarray:
    """(samples, columns): the accuracy of each class, averaged over those that the sample has."""
    total = np.zeros((len(weights), hits.shape[1]))
    present = np.zeros((len(weights), 1))
    for rows in classes:
        some = weights[:, rows]
        number = some.sum(axis=1, keepdims=True)
        total += (some @ hits[rows]) / np.maximum(number, 1, dtype=np.float64)
        present += number > 0
    return total / present


def interval(draws: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """The percentile interval of bootstrap draws (resamples,)."""
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def score_interval(
    draws: np.ndarray, score: float, images: int, confidence: float = 0.95
) -> tuple[float, float]:
    """`interval`, but of a score of 0 or 1 that of Clopper & Pearson 1934: a sample of images that
    were all right is right too, and says nothing of how sure that is."""
    if score in (0.0, 1.0):
        return clopper_pearson(round(score * images), images, confidence)
    return interval(draws, confidence)


def clopper_pearson(hits: int, images: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact binomial interval of hits out of images."""
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(special.betaincinv(hits, images - hits + 1, tail))
    high = 1.0 if hits == images else float(special.betaincinv(hits + 1, images - hits, 1 - tail))
    return low, high


def paired_p_values(hits: np.ndarray) -> np.ndarray:
    """Two-sided p values (K, K) that two columns of hits (M, K) are equally often right.

    Columns of 0 and 1: the exact test of McNemar 1947, a sign test of the images on which just one
    of the two is right. Where a column is a mean over seeds: the paired t-test over images, which
    takes the seeds as given. The diagonal is 1.
    """
    hits = hits.astype(np.float64)
    images, columns = hits.shape
    both = hits.T @ hits
    right = hits.sum(0)
    p = np.ones((columns, columns))
    whole = np.all(np.isin(hits, (0.0, 1.0)), axis=0)
    # Images that only the row's column (only the other) is right on.
    only, other = right[:, None] - both, right[None, :] - both
    fewer, discordant = np.minimum(only, other).round(), (only + other).round().astype(int)
    p = np.where(
        whole[:, None] & whole[None, :],
        np.minimum(1.0, 2 * special.bdtr(fewer, discordant, 0.5)),
        p,
    )
    mean = (right[:, None] - right[None, :]) / images
    square = (np.diag(both)[:, None] + np.diag(both)[None, :] - 2 * both) / images
    deviation = np.sqrt(np.maximum(square - mean**2, 0) * images / max(images - 1, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(mean) / (deviation / np.sqrt(images))
    by_t = np.where(np.isfinite(t), 2 * special.stdtr(images - 1, -np.nan_to_num(t)), mean == 0)
    p = np.where(whole[:, None] & whole[None, :], p, by_t)
    np.fill_diagonal(p, 1.0)
    return p


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjusted p values (Holm 1979): below α, the chance of any false alarm among all is below α."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    result = np.empty_like(p)
    result[order] = np.minimum(adjusted, 1.0)
    return result


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's; None for fewer than three pairs or where one side has no order."""
    if len(one) < 3 or len(set(one)) == 1 or len(set(other)) == 1:
        return None
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def mean_hits(
    predictions: Mapping[str, Mapping[str, np.ndarray]], runs: Sequence[str], score: str
) -> np.ndarray:
    """(M,) how often the runs were right on each image: 0 or 1 for one run, a mean for several.

    predictions: run → its arrays (`Results.predictions`); score: one of their names.
    """
    return np.mean([hits_of(predictions[run], score) for run in runs], axis=0)


def hits_of(predictions: Mapping[str, np.ndarray], score: str) -> np.ndarray:
    """(M,) bool of an array of answers or of hits."""
    answers = predictions[score]
    return answers if answers.dtype == bool else answers == predictions["label"]


def _weights(images: int, resamples: int, seed: int, precision: np.dtype) -> Iterator[np.ndarray]:
    """(at most AT_A_TIME, M) of that precision: how often each image is in each sample."""
    random = np.random.default_rng(seed)
    for start in range(0, resamples, AT_A_TIME):
        weights = np.empty((min(AT_A_TIME, resamples - start), images), dtype=precision)
        # A sample at a time stays in the cache.
        for sample in weights:
            sample[:] = np.bincount(random.integers(0, images, images), minlength=images)
        yield weights


def _ranks(values: Sequence[float]) -> np.ndarray:
    """From 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[place]
