"""Optimisers with fused kernels; weight decay never touches biases or normalisation."""

from collections.abc import Iterable

import torch
from torch import nn

from sslpipe import schema


def build_optimizer(network: nn.Module, settings: schema.Optimizer) -> torch.optim.Optimizer:
    """`adam` adds weight_decay·w to the gradient (L2), `adamw` decouples it, `sgd` has momentum 0.9.

    Only parameters that require a gradient are optimised; those of fewer than two dimensions
    (biases, scales and shifts of normalisation) are not decayed. The learning rate is set each step.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": _of(trained, decayed=True), "weight_decay": settings.weight_decay},
        {"params": _of(trained, decayed=False), "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=0.9, fused=True)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer]
    return kind(groups, lr=settings.lr, fused=True)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def _of(parameters: Iterable[nn.Parameter], *, decayed: bool) -> list[nn.Parameter]:
    return [p for p in parameters if (p.ndim > 1) == decayed]
