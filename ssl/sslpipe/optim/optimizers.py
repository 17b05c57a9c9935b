"""Optimisers with fused kernels; weight decay never touches biases or normalisation."""

from collections.abc import Iterable

import torch
from torch import nn

from sslpipe.optim.lars import LARS
from sslpipe.schema.methods.base import Optimizer


def build_optimizer(network: nn.Module, settings: Optimizer) -> torch.optim.Optimizer:
    """`adam` adds weight_decay·w to the gradient (L2), `adamw` decouples it; `sgd` and `lars` have
    momentum 0.9.

    Only parameters that require a gradient are optimised; those of fewer than two dimensions
    (biases, scales and shifts of normalisation) are neither decayed nor, by `lars`, adapted. The
    learning rate is set each step.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    decayed = {"params": _of(trained, decayed=True), "weight_decay": settings.weight_decay}
    others = {"params": _of(trained, decayed=False), "weight_decay": 0.0}
    if settings.optimizer == "lars":
        return LARS([decayed, others | {"adapt": False}], lr=settings.lr)
    if settings.optimizer == "sgd":
        sgd = torch.optim.SGD([decayed, others], lr=settings.lr, momentum=0.9, fused=True)
        # torch's fused kernel leaves it uninitialised when fp16 skips the first step.
        for parameter in trained:
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer]
    return kind([decayed, others], lr=settings.lr, fused=True)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def _of(parameters: Iterable[nn.Parameter], *, decayed: bool) -> list[nn.Parameter]:
    return [p for p in parameters if (p.ndim > 1) == decayed]
