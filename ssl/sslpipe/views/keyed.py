"""Counter-based random numbers: a value depends on its key only, never on a generator's state.

The key of a sample is a chain of words (seed, epoch, view, image index), each absorbed by one step
of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA
2014); its random numbers absorb a counter as one word more. Everything is integer arithmetic on
int64 tensors (products wrap around modulo 2**64), so the CPU and a GPU give the same bits, whatever
the batch a sample sits in.
"""

import torch
from torch import Tensor


def _signed(word: int) -> int:
    """The int64 with the same 64 bits as the non-negative `word`."""
    return (word + 2**63) % 2**64 - 2**63


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = _signed(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = _signed(0x94D049BB133111EB)


def sample_keys(indices: Tensor, *, seed: int, epoch: int, view: int) -> Tensor:
    """One 64-bit key per sample: int64 (N,) image indices -> int64 (N,) keys."""
    keys = torch.zeros_like(indices)
    for word in (_signed(seed), epoch, view, indices):
        keys = _mix(keys + _GOLDEN + word)
    return keys


def uniforms(keys: Tensor, count: int) -> Tensor:
    """The first `count` uniforms in [0, 1) of each key: int64 (N,) -> float32 (N, count).

    Only the top 24 bits are used, since float32 holds no more without rounding up to 1.
    """
    counters = torch.arange(count, device=keys.device)
    words = _mix(keys[:, None] + _GOLDEN + counters)
    return _shift_right(words, 40).to(torch.float32) * 2.0**-24


def _mix(words: Tensor) -> Tensor:
    """SplitMix64's finaliser, a bijection of the 64-bit words."""
    words = (words ^ _shift_right(words, 30)) * _MULTIPLIER_1
    words = (words ^ _shift_right(words, 27)) * _MULTIPLIER_2
    return words ^ _shift_right(words, 31)


def _shift_right(words: Tensor, bits: int) -> Tensor:
    """Logical shift: `>>` on int64 copies the sign bit downwards, so those bits are masked off."""
    return (words >> bits) & (2 ** (64 - bits) - 1)
