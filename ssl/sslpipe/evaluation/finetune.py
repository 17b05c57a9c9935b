"""Fine-tuning: an encoder and a linear head trained together on the labels of a data set.

What an encoder is worth as a start, not what its frozen features are worth. Each learning rate is
trained on the train split and the val split chooses; the chosen network alone meets the test
images, once.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from sslpipe.data.index import Index
from sslpipe.errors import UserError
from sslpipe.evaluation.features import extract
from sslpipe.evaluation.scores import answers, top_k
from sslpipe.io.progress import progress, say
from sslpipe.networks.encoder import Encoder
from sslpipe.optim.optimizers import build_optimizer, set_step
from sslpipe.optim.schedules import warmup_cosine
from sslpipe.schema.evaluation import Finetune
from sslpipe.schema.methods.base import Optimizer
from sslpipe.seeds import generator, seed_of
from sslpipe.views.batched_views import render
from sslpipe.views.keyed import sample_keys
from sslpipe.views.normalize import normalize
from sslpipe.views.policy import ViewPolicy, one_view

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
# A crop must still show what its label says, and at 32 to 96 pixels a smaller one often does not.
# Whole images are scored: a mean side of 0.8 keeps objects near the size at which they were learnt
# (Touvron et al. 2019, on the difference between training and test resolution).
CROP_AREA = (0.35, 1.0)


class Finetuned(NamedTuple):
    """scores: flat, accuracies as fractions; finetune_seconds is of all learning rates together.
    predictions, for each test image (M,), the public before the private ones: label, finetune
    int32 (-1: no answer), private bool."""

    scores: dict[str, float | int | bool]
    predictions: dict[str, np.ndarray]


class Classifier(nn.Module):
    """An encoder with a linear head that starts at zero, so that no class is favoured."""

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.width, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)


class Tried(NamedTuple):
    lr: float
    network: Classifier
    val_top1: float


def finetune(
    encoder: Encoder,
    images: np.ndarray,
    index: Index,
    settings: Finetune,
    *,
    seed: int,
    device: torch.device,
    autocast: torch.dtype | None,
    what: str,
) -> Finetuned:
    """Fine-tune copies of `encoder` on a packed set, uint8 (N, S, S, 3), and score the best.

    autocast: the format of the encoder's passes in training (None: fp32); scores are in fp32.
    what: names the work in progress bars. Raises UserError when the device has no memory for a
    batch, or when there is a single train image.
    """
    start = time.monotonic()
    chosen = choose(
        encoder, images, index, settings, seed=seed, device=device, autocast=autocast, what=what
    )
    seconds = time.monotonic() - start

    public, private = index.split_slice("public"), index.split_slice("private")
    test = slice(public.start, private.stop)  # they lie one after the other
    labels = index.all_labels[test]
    scores = class_scores(chosen.network, images[test], device)
    target = torch.from_numpy(labels)
    halves = {"public": slice(None, public.stop - test.start)}
    halves["private"] = slice(halves["public"].stop, None)
    return Finetuned(
        {
            "finetune_top1": top_k(scores, target, 1),
            **{
                f"finetune_{half}_top1": top_k(scores[rows], target[rows], 1)
                for half, rows in halves.items()
            },
            "finetune_val_top1": chosen.val_top1,
            "finetune_best_lr": float(chosen.lr),
            "finetune_best_on_edge": len(set(settings.lr)) > 1
            and chosen.lr in (min(settings.lr), max(settings.lr)),
            "finetune_epochs": settings.epochs,
            "finetune_seconds": seconds,
        },
        {
            "label": labels.astype(np.int32),
            "private": np.arange(len(labels)) >= halves["public"].stop,
            "finetune": answers(scores).to(torch.int32).numpy(),
        },
    )


def choose(
    encoder: Encoder,
    images: np.ndarray,
    index: Index,
    settings: Finetune,
    *,
    seed: int,
    device: torch.device,
    autocast: torch.dtype | None,
    what: str,
) -> Tried:
    """The network of the learning rate that is best on val; of equals the smallest. Reads train and
    val only. All learning rates see the same batches of the same views."""
    train, val = index.examples(), index.split_slice("val")
    best: Tried | None = None
    for lr in sorted(set(settings.lr)):
        network = Classifier(copy.deepcopy(encoder), len(index.classes))
        network.to(device).to(memory_format=torch.channels_last)
        fit(
            network,
            images[train],
            index.all_labels[train],
            lr,
            settings,
            seed=seed,
            autocast=autocast,
            what=f"{what}, lr {lr:g}",
        )
        scores = class_scores(network, images[val], device)
        tried = Tried(lr, network, top_k(scores, torch.from_numpy(index.all_labels[val]), 1))
        say(f"{what}: lr {lr:g}, {tried.val_top1:.1%} on val")
        if best is None or tried.val_top1 > best.val_top1:
            best = tried
    assert best is not None, "there is a rate at least"
    return best


def fit(
    network: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    lr: float,
    settings: Finetune,
    *,
    seed: int,
    autocast: torch.dtype | None,
    what: str,
) -> None:
    """Train all of `network`, where it is, on images uint8 (N, S, S, 3) and labels int64 (N,).

    Cross-entropy and AdamW (Loshchilov & Hutter 2019: decoupled decay, none of biases and
    normalisation), batch statistics as in training. An image's view follows from (seed, epoch, row)
    and the order of an epoch from (seed, epoch), so the same call gives the same weights on a CPU.
    """
    if len(images) < 2:
        raise UserError(f"{what}: a single train image has no batch statistics")
    device = network.head.weight.device
    size = images.shape[1]
    policy = ViewPolicy(size=size, scale=CROP_AREA, jitter=0, grayscale=0, blur=0)
    views_seed = seed_of(seed, "finetune views")
    an_epoch = batches_of(len(images), settings.batch_size)
    steps = settings.epochs * an_epoch
    optimizer = build_optimizer(
        network, Optimizer(optimizer="adamw", lr=lr, weight_decay=settings.weight_decay)
    )
    rates = warmup_cosine(lr, steps, round(WARM_UP * steps)).tolist()
    batches = _batches(len(images), an_epoch, settings.epochs, seed)
    network.train()
    try:
        for step, (epoch, rows) in enumerate(
            progress(batches, what=what, unit="steps", total=steps)
        ):
            batch = torch.from_numpy(images[rows.numpy()])
            target = torch.from_numpy(labels[rows.numpy()])
            batch, target, rows = (some.to(device) for some in (batch, target, rows))
            keys = sample_keys(rows, seed=views_seed, epoch=epoch, view=0)
            views = normalize(one_view(render, batch, keys, policy))
            with torch.autocast(device.type, autocast, enabled=autocast is not None):
                features = network.encoder(views.contiguous(memory_format=torch.channels_last))
            loss = cross_entropy(network.head(features.float()), target)
            optimizer.zero_grad()
            loss.backward()
            set_step(optimizer, rates[step], lr, settings.weight_decay)
            optimizer.step()
    except torch.OutOfMemoryError:
        raise UserError(
            f"{what}: {device} has no memory for a batch: make finetune.batch_size "
            f"({settings.batch_size}) smaller"
        ) from None


def batches_of(images: int, batch_size: int) -> int:
    """Batches of an epoch, which differ in size by at most one image and have at least two: one
    alone has no batch statistics."""
    return max(1, min(math.ceil(images / batch_size), images // 2))


@torch.no_grad()
def class_scores(network: Classifier, images: np.ndarray, device: torch.device) -> Tensor:
    """(N, C) float32 on the CPU, of whole images; all -inf, which is never a hit, if it diverged."""
    features = extract(network.encoder, images, device=device)
    scores = linear(features, network.head.weight.cpu(), network.head.bias.cpu())
    return scores if scores.isfinite().all() else torch.full_like(scores, -torch.inf)


def _batches(images: int, an_epoch: int, epochs: int, seed: int) -> Iterator[tuple[int, Tensor]]:
    """(epoch, int64 rows) of each step."""
    for epoch in range(epochs):
        order = torch.randperm(images, generator=generator(seed, "finetune order", epoch))
        for rows in order.tensor_split(an_epoch):
            yield epoch, rows
