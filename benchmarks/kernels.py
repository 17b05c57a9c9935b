"""What a training step does besides views and network: gather, moving average, optimiser."""

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import nn

from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.momentum import ema_update, momentum_copy
from sslpipe.optim.optimizers import build_optimizer
from sslpipe.schema.methods.base import Optimizer

from .peers import installed
from .table import Row, compared
from .timing import median_rates

PACKAGES = ("torch", "lightly")
MOMENTUM = 0.99


def run(device: torch.device, threads: int) -> Iterator[list[Row]]:
    yield gather(device)
    network = build_backbone("resnet50").to(device)
    yield moving_average(network, device)
    for parameter in network.parameters():
        parameter.grad = 1e-3 * torch.randn_like(parameter)
    for name in ("sgd", "adam"):
        yield optimiser(name, network, device)


def gather(device: torch.device, count: int = 4096, batch: int = 256) -> list[Row]:
    """Over enough images that a batch does not stay in the cache."""
    images = torch.randint(0, 256, (count, 96, 96, 3), dtype=torch.uint8, device=device)
    batches = itertools.cycle(torch.randperm(count, device=device).split(batch))
    subjects = {
        "sslpipe, index_select": lambda: images.index_select(0, next(batches)),
        "x[indices]": lambda: images[next(batches)],
    }
    rates = median_rates(subjects, batch, device, seconds=0.2)
    return compared(f"gather {batch} of 96 px, uint8", rates, "images/s", "x[indices]")


def moving_average(network: nn.Module, device: torch.device) -> list[Row]:
    target = momentum_copy(network)
    subjects: dict[str, Callable[[], object]] = {
        "sslpipe": lambda: ema_update(target, network, MOMENTUM),
        "loop over parameters": lambda: one_by_one(target, network),
    }
    if installed("lightly"):
        from lightly.models.utils import update_momentum

        subjects["lightly"] = lambda: update_momentum(network, target, MOMENTUM)
    rates = median_rates(subjects, 1, device, seconds=0.2)
    return compared("moving average, ResNet-50", rates, "updates/s", "loop over parameters")


@torch.no_grad()
def one_by_one(target: nn.Module, online: nn.Module) -> None:
    for mean, new in zip(target.parameters(), online.parameters(), strict=True):
        mean.mul_(MOMENTUM).add_(new, alpha=1 - MOMENTUM)


def optimiser(name: str, network: nn.Module, device: torch.device) -> list[Row]:
    """Ours, and torch's other two implementations on the same groups of parameters."""
    ours = build_optimizer(network, Optimizer(optimizer=name))
    groups = [
        {key: group[key] for key in ("params", "weight_decay")} for group in ours.param_groups
    ]
    momentum = {"momentum": 0.9} if name == "sgd" else {}

    def usual(foreach: bool) -> torch.optim.Optimizer:
        own = [dict(group) for group in groups]  # the optimiser writes into them
        return type(ours)(own, lr=1e-3, foreach=foreach, **momentum)

    subjects = {
        "sslpipe": ours.step,
        "foreach=True": usual(True).step,
        "loop": usual(False).step,
    }
    rates = median_rates(subjects, 1, device, seconds=0.2)
    return compared(f"{name} step, ResNet-50", rates, "steps/s", "loop")
