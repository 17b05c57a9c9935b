"""Linear probes on frozen features: every (learning rate, weight decay) of a grid in one pass.

Heads are stacked in one (G, C, D) tensor, so that a step reads its features once and makes one
matrix product with G*C outputs. torch's own optimisers do the update, one parameter group for each
learning rate, on views of that tensor; weight decay is done here, so that cells which differ in
nothing else share a group. Each head gets what it would get if it were trained alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sslpipe.evaluation.knn import full_float32

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,  # weight decay is L2 in the gradient (Kingma & Ba 2015)
    "adamw": torch.optim.Adam,  # weight decay is decoupled (Loshchilov & Hutter 2019)
    "sgd": partial(torch.optim.SGD, momentum=0.9),  # weight decay is L2 in the gradient
}
# Of the largest deviation: a dimension below it is rounding noise and must not be blown up to 1.
DEVIATION_FLOOR = 1e-6


@dataclass(frozen=True)
class Probes:
    """G linear classifiers on the same features: weight (G, C, D), bias (G, C), float32."""

    weight: Tensor
    bias: Tensor

    def __getitem__(self, cell: int) -> Probes:
        """One of them, still stacked: weight (1, C, D), bias (1, C)."""
        return Probes(self.weight[cell][None], self.bias[cell][None])

    @torch.no_grad()
    def logits(self, features: Tensor, chunk: int = 4096) -> Tensor:
        """(G, Q, C) float32 for standardised features (Q, D), `chunk` rows at a time."""
        cells, classes, _ = self.weight.shape
        result = features.new_empty(cells, len(features), classes, dtype=torch.float32)
        with full_float32():
            for start in range(0, len(features), chunk):
                part = _logits(self.weight, self.bias, features[start : start + chunk])
                result[:, start : start + chunk] = part.transpose(0, 1)
        return result


def standardise(train: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and deviation (D,) of the training split (N, D), float32.

    No other split may be passed in: validation and test are standardised with these numbers.
    """
    if len(train) == 0:
        raise ValueError("no training features to standardise with")
    deviation, mean = torch.std_mean(train.float(), dim=0, correction=0)
    floor = max(DEVIATION_FLOOR * float(deviation.max()), torch.finfo(torch.float32).tiny)
    return mean, deviation.clamp_min(floor)


@torch.no_grad()
def fit_probes(
    features: Tensor,
    labels: Tensor,
    classes: int,
    cells: Sequence[tuple[float, float]],
    *,
    epochs: int,
    batch_size: int,
    optimizer: str,
    seed: int,
) -> Probes:
    """Train a softmax classifier for each (learning rate, weight decay) in `cells`, all together.

    features (N, D) float32, already standardised; labels (N,) int64 below `classes`; one device.
    Mean cross-entropy; all weights start at zero; weight decay never touches a bias; the learning
    rate falls from its cell's value to zero along half a cosine over the steps. All heads see the
    same batches, drawn from `seed` alone; an epoch's batches differ in size by at most one image.
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"unknown probe optimizer {optimizer!r}, known: {', '.join(OPTIMIZERS)}")
    if len(features) == 0 or len(features) != len(labels):
        raise ValueError(f"a probe got {len(features)} features and {len(labels)} labels")
    if not cells or epochs < 1 or batch_size < 1:
        raise ValueError("a probe needs at least one grid cell, one epoch and one image a batch")
    dimension = features.shape[1]
    weight = features.new_zeros(len(cells), classes, dimension, dtype=torch.float32)
    bias = features.new_zeros(len(cells), classes, dtype=torch.float32)
    # Made once, as views of the heads are.
    weight_gradient, bias_gradient = torch.empty_like(weight), torch.empty_like(bias)
    update = _optimizer(optimizer, weight, bias, weight_gradient, bias_gradient, cells)
    decays = [(cell, decay) for cell, (_, decay) in enumerate(cells) if decay]
    batches_an_epoch = math.ceil(len(features) / batch_size)
    steps = epochs * batches_an_epoch

    with full_float32():
        for step, rows in enumerate(_batches(len(features), batches_an_epoch, epochs, seed)):
            rows = rows.to(features.device)
            x, target = features.index_select(0, rows), labels.index_select(0, rows)
            # The gradient of the mean cross-entropy by the logits: (softmax - one-hot) / B.
            gradient = _logits(weight, bias, x).softmax(dim=2)
            gradient[torch.arange(len(x), device=x.device), :, target] -= 1
            gradient /= len(x)
            torch.mm(gradient.flatten(1).T, x, out=weight_gradient.view(-1, dimension))
            torch.sum(gradient, 0, out=bias_gradient)
            for cell, decay in decays:
                if optimizer == "adamw":
                    weight[cell] *= 1 - cosine(cells[cell][0], step, steps) * decay
                else:
                    weight_gradient[cell].add_(weight[cell], alpha=decay)
            for group in update.param_groups:
                group["lr"] = cosine(group["base_lr"], step, steps)
            update.step()
    return Probes(weight, bias)


def cosine(base: float, step: int, steps: int) -> float:
    """Learning rate of one step: base at step 0, 0 at `steps` (Loshchilov & Hutter 2017)."""
    return base * 0.5 * (1 + math.cos(math.pi * step / steps))


def _logits(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """(B, G, C) for x (B, D): one matrix product for all heads."""
    return (x @ weight.flatten(0, 1).T).view(len(x), *bias.shape) + bias


def _optimizer(
    name: str,
    weight: Tensor,
    bias: Tensor,
    weight_gradient: Tensor,
    bias_gradient: Tensor,
    cells: Sequence[tuple[float, float]],
) -> torch.optim.Optimizer:
    """Of views into the stacked tensors, whose gradients are views of the stacked gradients."""
    groups: dict[float, list[Tensor]] = {}
    for cell, (lr, _) in enumerate(cells):
        for stacked, gradient in ((weight, weight_gradient), (bias, bias_gradient)):
            head = stacked[cell].detach()
            head.grad = gradient[cell]
            groups.setdefault(lr, []).append(head)
    # Fused: one pass over memory, several times faster than the loop for wide heads.
    return OPTIMIZERS[name](
        [{"params": heads, "base_lr": lr} for lr, heads in groups.items()], lr=0.0, fused=True
    )


def _batches(images: int, batches: int, epochs: int, seed: int) -> Iterator[Tensor]:
    """Row numbers of each step; drawn on the CPU, so that every device sees the same order."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        yield from torch.randperm(images, generator=generator).tensor_split(batches)
