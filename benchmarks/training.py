"""Training from images to updated weights: images a second, against lightly.

The same number of images, batch, backbone, head widths, threads and kind of optimiser on both
sides. sslpipe's corpus lies in memory as uint8; lightly reads the same images from JPEG files.
"synthetic input" is sslpipe's step on one fixed batch: what training could reach if views and data
cost nothing.
"""

import io
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from itertools import product
from pathlib import Path

import torch

from sslpipe.methods.method import Step
from sslpipe.optim.optimizers import build_optimizer
from sslpipe.running.checkpoint import RunState
from sslpipe.running.cost import peak_flops
from sslpipe.schema.methods.base import Projector
from sslpipe.schema.methods.byol import BYOL
from sslpipe.schema.methods.moco import MoCo
from sslpipe.schema.methods.simclr import SimCLR
from sslpipe.schema.training import Online, Pretrain, ResolvedRun, Views
from sslpipe.training import loop
from sslpipe.training.batches import Part
from sslpipe.training.compilation import compile_networks, compiles
from sslpipe.training.precision import arithmetic, autocast_dtype, has_bf16
from sslpipe.training.step import OptimizerStep

from .peers import HIDDEN, LR, OUTPUT, LightlyTraining, installed, write_files
from .pictures import pictures
from .table import Row, compared
from .timing import seconds_a_call, take_turns

PACKAGES = ("torch", "torchvision", "lightly")
NAMES = {"simclr": "SimCLR", "moco": "MoCo", "byol": "BYOL"}
BACKBONES = {"resnet18": "ResNet-18", "resnet50": "ResNet-50", "resnet101": "ResNet-101"}
ROUNDS = 3
QUEUE, GROUPS = 256, 8
OURS, CEILING = "sslpipe", "synthetic input"


def run(device: torch.device, threads: int) -> Iterator[list[Row]]:
    peak = peak_flops(device, autocast_dtype("auto", device))
    if device.type == "cuda":
        yield from at_96_pixels(device, peak)
    yield from beside_lightly(device, threads, peak)


def at_96_pixels(device: torch.device, peak: float) -> Iterator[list[Row]]:
    """The study's backbones, against the ceiling. One turn each: to compile takes longest."""
    images = pictures(20_480, 96)
    cases = [("resnet50", "simclr"), ("resnet101", "moco"), ("resnet50", "byol")]
    cases += [case for case in product(("resnet50", "resnet101"), NAMES) if case not in cases]
    for backbone, method in cases:
        trained = make_run(method, backbone, 96, batch=256, epochs=4)
        if method == "moco":
            trained = with_settings(trained, bn_groups=GROUPS)
        ours = Ours(trained, images, device, peak)
        subjects = {OURS: ours, CEILING: synthetic(trained, device)}
        yield in_turns(trained, subjects, CEILING, rounds=0)


def beside_lightly(device: torch.device, threads: int, peak: float) -> Iterator[list[Row]]:
    """On a CPU a turn is a few steps, so that all of it takes minutes where there is no bf16 either."""
    on_gpu = device.type == "cuda"
    for side, method in product((32, 64), NAMES):
        batch, count, epochs = (128, 16_384, 4) if on_gpu else (64, 256, 1)
        images = pictures(count, side)
        trained = make_run(method, "resnet18", side, batch=batch, epochs=epochs)
        subjects = {OURS: Ours(trained, images, device, peak)}
        if method == "moco":  # lightly has ordinary batch statistics
            grouped = with_settings(trained, bn_groups=GROUPS)
            subjects[f"{OURS}, {GROUPS} BN groups"] = Ours(grouped, images, device, peak)
        if on_gpu or (side == 64 and method != "byol"):
            subjects[CEILING] = synthetic(trained, device)
        with tempfile.TemporaryDirectory() as folder:
            if installed("lightly"):
                workers = os.cpu_count() if on_gpu else threads
                subjects |= lightly(trained, images, Path(folder, "images"), device, workers)
            yield in_turns(trained, subjects, "lightly", rounds=0 if on_gpu else ROUNDS)


def make_run(method: str, backbone: str, side: int, *, batch: int, epochs: int) -> ResolvedRun:
    """Heads as in lightly's examples, SGD; no blur up to 32 pixels, as there."""
    head = Projector(hidden=HIDDEN[method], output=OUTPUT[method])
    common = {"projector": head, "optimizer": "sgd", "lr": LR, "lr_scaling": "none"}
    settings = {
        "simclr": lambda: SimCLR(**common),
        "moco": lambda: MoCo(**common, queue=QUEUE, bn_groups=1),
        "byol": lambda: BYOL(**common, predictor_hidden=HIDDEN["byol"]),
    }[method]()
    views = Views(blur=0.5 if side > 32 else 0.0)
    online = Online(datasets=[])
    pretrain = Pretrain(epochs=epochs, batch_size=batch, views=views, online=online)
    return ResolvedRun(
        name="benchmark",
        method=method,
        backbone=backbone,
        corpus="pictures",
        image_size=side,
        settings=settings,
        pretrain=pretrain,
    )


def with_settings(run: ResolvedRun, **changes: object) -> ResolvedRun:
    return run.model_copy(update={"settings": run.settings.model_copy(update=changes)})


class Ours:
    """Called, it trains anew and returns images a second; keeps the other numbers of each turn."""

    def __init__(
        self, run: ResolvedRun, images: torch.Tensor, device: torch.device, peak: float
    ) -> None:
        self.run, self.images, self.device, self.peak = run, images, device, peak
        self.waits: list[float] = []
        self.utilisations: list[float] = []

    def __call__(self) -> float:
        autocast = autocast_dtype("auto", self.device)
        with (
            tempfile.TemporaryDirectory() as folder,
            RunState(Path(folder, "run"), "benchmark") as saved,
            redirect_stderr(io.StringIO()),
        ):
            trained = loop.train(
                self.run, self.images, [], saved, device=self.device, autocast=autocast
            )
        last_epoch = trained.state.history[-1]
        flops_per_image = trained.cost.flops / self.run.pretrain.batch_size
        self.waits.append(last_epoch["data_wait"])
        self.utilisations.append(last_epoch["images_per_s"] * flops_per_image / self.peak)
        return last_epoch["images_per_s"]


def synthetic(run: ResolvedRun, device: torch.device) -> Callable[[], float]:
    """A function that does sslpipe's steps on a fixed batch and returns images a second."""
    method = loop.build_method(run, autocast_dtype("auto", device))
    method = method.to(device, memory_format=torch.channels_last).train()
    if compiles(run.pretrain.compile, device):
        compile_networks(method, run.pretrain.compile)
    optimizer_step = OptimizerStep(method, build_optimizer(method, run.settings), run.pretrain)
    batch, side = run.pretrain.batch_size, run.image_size
    views = [
        torch.randn(batch, 3, side, side, device=device).to(memory_format=torch.channels_last)
        for _ in range(2)
    ]
    steps = 50 if device.type == "cuda" else 4

    def train() -> None:
        with arithmetic(deterministic=False):
            for index in range(steps):
                optimizer_step([Part(views, [])], Step(index, steps, 0))

    return lambda: steps * batch / seconds_a_call(train, device)


def lightly(
    run: ResolvedRun, images: torch.Tensor, folder: Path, device: torch.device, workers: int
) -> dict[str, LightlyTraining]:
    """The same training by lightly, in its examples' fp32 and, where the device can, in bf16."""
    write_files(images, folder)
    formats = {"lightly": False} | ({"lightly bf16": True} if has_bf16(device) else {})
    return {
        name: LightlyTraining(
            run.method,
            folder,
            run.image_size,
            run.pretrain.batch_size,
            queue=QUEUE,
            workers=workers,
            device=device,
            bf16=bf16,
        )
        for name, bf16 in formats.items()
    }


def in_turns(
    run: ResolvedRun, subjects: dict[str, Callable[[], float]], baseline: str, *, rounds: int
) -> list[Row]:
    """Images a second of all subjects; of sslpipe also data-wait and FLOP utilisation.

    rounds: after one that warms up; with 0 that one counts.
    """
    case = f"{NAMES[run.method]} {BACKBONES[run.backbone]} {run.image_size} px"
    turns = take_turns(subjects, rounds)
    rates = {name: statistics.median(found) for name, found in turns.items()}
    ours = subjects[OURS]
    return [
        *compared(case, rates, "images/s", baseline),
        Row(case, f"{OURS}, data wait", 100 * statistics.median(ours.waits[-rounds:]), "%"),
        Row(case, f"{OURS}, MFU", 100 * statistics.median(ours.utilisations[-rounds:]), "%"),
    ]
