"""Intervals over runs, of which there are few: Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from sslpipe.reporting.claims.claim import Effect


def mean_of(values: Sequence[float], confidence: float, unit: str) -> Effect:
    """The mean of one value for each run, and its t interval; none of a single run."""
    center = float(np.mean(values))
    if len(values) < 2:
        return Effect(center, None, None, unit)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = _quantile(confidence, len(values) - 1) * error
    return Effect(center, center - half, center + half, unit)


def difference_of(
    ones: Sequence[float], others: Sequence[float], confidence: float, unit: str
) -> Effect:
    """The mean of `ones` minus that of `others`, and Welch's interval (1947), which lets the two
    spread differently; none where one of them is a single run."""
    center = float(np.mean(ones) - np.mean(others))
    if min(len(ones), len(others)) < 2:
        return Effect(center, None, None, unit)
    a, b = (float(np.var(some, ddof=1)) / len(some) for some in (ones, others))
    if a + b == 0:
        return Effect(center, center, center, unit)
    freedom = (a + b) ** 2 / (a**2 / (len(ones) - 1) + b**2 / (len(others) - 1))
    half = _quantile(confidence, freedom) * math.sqrt(a + b)
    return Effect(center, center - half, center + half, unit)


def _quantile(confidence: float, freedom: float) -> float:
    return float(stats.t.ppf((1 + confidence) / 2, freedom))
