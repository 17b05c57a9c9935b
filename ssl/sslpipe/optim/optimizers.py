"""Optimisers with fused kernels; weight decay never touches biases or normalisation."""

from collections.abc import Callable, Collection
from typing import NamedTuple

import torch
from torch import nn

from sslpipe.optim.lars import LARS
from sslpipe.schema.methods.base import Optimizer


class Rate(NamedTuple):
    """Of the learning rate: times a factor; constant: of its peak, whatever the schedule."""

    factor: float = 1.0
    constant: bool = False


def build_optimizer(
    network: nn.Module,
    settings: Optimizer,
    rate: Callable[[str], Rate] = lambda name: Rate(),
    no_decay: Collection[str] = (),
) -> torch.optim.Optimizer:
    """`adam` adds weight_decay·w to the gradient (L2), `adamw` decouples it; `sgd` and `lars` have
    momentum 0.9.

    Only parameters that require a gradient are optimised; those of fewer than two dimensions
    (biases, scales and shifts of normalisation), and those whose name has a part in `no_decay`, are
    neither decayed nor, by `lars`, adapted. rate: of a parameter, by its name. Learning rate and weight
    decay are set each step.
    """
    groups: dict[tuple[bool, Rate], list[nn.Parameter]] = {(True, Rate()): [], (False, Rate()): []}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decayed = parameter.ndim > 1 and not set(name.split(".")) & set(no_decay)
            groups.setdefault((decayed, rate(name)), []).append(parameter)
    described = [
        {
            "params": parameters,
            "weight_decay": settings.weight_decay if decayed else 0.0,
            "decayed": decayed,
            "rate": tuple(some),
        }
        for (decayed, some), parameters in groups.items()
    ]
    if settings.optimizer == "lars":
        return LARS(
            [group | {"adapt": group["decayed"]} for group in described],
            lr=settings.lr,
            trust=settings.lars.trust,
            clip=settings.lars.clip,
        )
    if settings.optimizer == "sgd":
        sgd = torch.optim.SGD(described, lr=settings.lr, momentum=0.9, fused=True)
        # torch's fused kernel leaves it uninitialised when fp16 skips the first step.
        for group in sgd.param_groups:
            for parameter in group["params"]:
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer]
    return kind(described, lr=settings.lr, betas=settings.betas, fused=True)


def set_step(optimizer: torch.optim.Optimizer, lr: float, peak: float, weight_decay: float) -> None:
    """Of the step to come. peak: the highest that `lr` becomes."""
    for group in optimizer.param_groups:
        factor, constant = group["rate"]
        group["lr"] = factor * (peak if constant else lr)
        group["weight_decay"] = weight_decay if group["decayed"] else 0.0
