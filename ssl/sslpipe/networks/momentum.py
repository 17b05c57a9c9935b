"""Momentum copies: exponential moving averages of a network's weights."""

import copy
import math
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def momentum_copy(network: Network) -> Network:
    """A deep copy that is never back-propagated."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def ema_update(target: nn.Module, online: nn.Module, momentum: float) -> None:
    """target ← momentum · target + (1 − momentum) · online, in place, over all parameters.

    Parameters stay fp32 whatever the autocast: in bf16, 0.001 of a difference would round away.
    Buffers are left alone: the copy's batch statistics come from its own forward passes.
    """
    torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), 1 - momentum)


def momentum_at(step: int, total: int, start: float, schedule: str) -> float:
    """`constant`: start. Else `start` at step 0 and 1 at `total`: `cosine`,
    1 − (1 − start) · (cos(π·step/total) + 1) / 2 (BYOL, Grill et al. 2020, section 3.2), or `linear`
    (I-JEPA, Assran et al. 2023)."""
    left = {
        "constant": 1.0,
        "cosine": (math.cos(math.pi * step / total) + 1) / 2,
        "linear": 1 - step / total,
    }
    return 1 - (1 - start) * left[schedule]
