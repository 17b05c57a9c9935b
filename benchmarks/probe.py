"""A grid of linear probes: all heads stacked, against one head after another."""

import math
from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslpipe.evaluation.probe import Probes, cosine, fit_probes

from .table import Row, compared
from .timing import median_rates

PACKAGES = ("torch",)
IMAGES, DIMENSION, BATCH, EPOCHS, SEED = 2048, 2048, 256, 4, 0
CELLS = list(product((1e-4, 1e-3, 1e-2, 1e-1), (0.0, 1e-4, 1e-3)))
USUAL = "one head at a time, autograd"
# The largest difference to the usual loop, of a head's weights as a whole (norm over norm). Adam's
# first steps are as long for a tiny gradient as for a large one, so rounding shows.
TOLERANCE = 1e-3


def run(device: torch.device, threads: int) -> Iterator[list[Row]]:
    for classes in (10, 200):
        yield grid(classes, device)


def grid(classes: int, device: torch.device) -> list[Row]:
    draw = torch.Generator().manual_seed(SEED)
    features = torch.randn(IMAGES, DIMENSION, generator=draw).to(device)
    labels = torch.randint(0, classes, (IMAGES,), generator=draw).to(device)
    found: dict[str, Probes] = {}
    settings = {"epochs": EPOCHS, "batch_size": BATCH, "optimizer": "adam", "seed": SEED}

    def stacked() -> None:
        found["stacked"] = fit_probes(features, labels, classes, CELLS, **settings)

    def one_by_one() -> None:
        for cell in CELLS:
            fit_probes(features, labels, classes, [cell], **settings)

    def usual() -> None:
        heads = [usual_loop(features, labels, classes, *cell) for cell in CELLS]
        weight = torch.stack([head.weight.detach() for head in heads])
        found["usual"] = Probes(weight, torch.stack([head.bias.detach() for head in heads]))

    case = f"{len(CELLS)} heads, D = {DIMENSION}, C = {classes}"
    subjects = {
        "sslpipe, stacked": stacked,
        "sslpipe, one head at a time": one_by_one,
        USUAL: usual,
    }
    steps = EPOCHS * math.ceil(IMAGES / BATCH)
    rates = median_rates(subjects, len(CELLS) * steps, device, rounds=3)
    usual_weight = found["usual"].weight
    differences = (found["stacked"].weight - usual_weight).flatten(1).norm(dim=1)
    largest = (differences / usual_weight.flatten(1).norm(dim=1)).max().item()
    if largest > TOLERANCE:
        raise RuntimeError(f"probe, {case}: a head differs by {largest:.2g} from the usual loop's")
    difference = Row(case, "sslpipe, stacked", largest, "relative difference of weights")
    return [*compared(case, rates, "head steps/s", USUAL), difference]


def usual_loop(
    features: Tensor, labels: Tensor, classes: int, lr: float, weight_decay: float
) -> nn.Linear:
    """One probe as it is usually written, with the batches and the schedule of `fit_probes`."""
    head = nn.Linear(features.shape[1], classes, device=features.device)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    groups = [
        {"params": [head.weight], "weight_decay": weight_decay},
        {"params": [head.bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.Adam(groups, lr=lr)
    order = torch.Generator().manual_seed(SEED)
    batches = math.ceil(len(features) / BATCH)
    for epoch in range(EPOCHS):
        rows_of_epoch = torch.randperm(len(features), generator=order).tensor_split(batches)
        for batch, rows in enumerate(rows_of_epoch):
            rows = rows.to(features.device)
            for group in optimizer.param_groups:
                group["lr"] = cosine(lr, epoch * batches + batch, EPOCHS * batches)
            loss = F.cross_entropy(head(features[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return head
