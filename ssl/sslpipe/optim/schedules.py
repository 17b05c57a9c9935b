"""Learning rates, one number per optimiser step, so that a resumed run cannot drift."""

import math

import numpy as np


def peak_lr(base: float, scaling: str, batch_size: int) -> float:
    """`none`: base; `linear`: base × batch/256 (Goyal et al. 2017); `sqrt`: base × √(batch/256)."""
    factor = {"none": 1.0, "linear": batch_size / 256, "sqrt": math.sqrt(batch_size / 256)}
    return base * factor[scaling]


def cosine(start: float, end: float, steps: int) -> np.ndarray:
    """float64 (steps,): half a cosine from `start` at the first step to `end` at the last."""
    share = np.arange(steps) / max(steps - 1, 1)
    return end + (start - end) * 0.5 * (1 + np.cos(np.pi * share))


def warmup_cosine(peak: float, steps: int, warmup: int) -> np.ndarray:
    """float64 (steps,): linear from peak/warmup to peak, then half a cosine towards zero."""
    step = np.arange(steps)
    rising = peak * (step + 1) / max(warmup, 1)
    falling = peak * 0.5 * (1 + np.cos(np.pi * (step - warmup) / max(steps - warmup, 1)))
    return np.where(step < warmup, rising, falling)
