"""The training loop: from a corpus of uint8 images to an encoder, a history and a report."""

import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from sslpipe.errors import Interrupted, UserError
from sslpipe.files import write_text
from sslpipe.methods import METHODS
from sslpipe.methods.method import Method, Step
from sslpipe.networks.backbones import build_backbone
from sslpipe.progress import say
from sslpipe.schema import MoCo, ResolvedRun
from sslpipe.seeds import seed_of
from sslpipe.training.batches import Plan, build_views, views_of_epoch
from sslpipe.training.checkpoint import RunState
from sslpipe.training.monitor import collapsed, effective_rank, feature_std
from sslpipe.training.online import Watched, online_scores
from sslpipe.training.optimizers import build_optimizer, set_lr
from sslpipe.training.schedules import peak_lr, warmup_cosine
from sslpipe.views.normalize import normalize

# Reading a loss waits for the device, so on a GPU it is done once in so many steps.
CHECK_STEPS = {"cpu": 1, "cuda": 50}


@dataclass
class Clock:
    """Seconds of training proper; online evaluation and checkpoints are not counted."""

    train: float = 0.0
    waiting_for_views: float = 0.0
    images: int = 0


@dataclass
class EpochSoFar:
    loss_sum: float = 0.0
    clock: Clock = field(default_factory=Clock)


@dataclass
class Progress:
    """All that a checkpoint holds beside tensors."""

    step: int = 0
    total: Clock = field(default_factory=Clock)
    epoch: EpochSoFar = field(default_factory=EpochSoFar)
    history: list[dict[str, Any]] = field(default_factory=list)
    resumed: int = 0
    resumed_this_epoch: bool = False


@dataclass(frozen=True)
class Trained:
    encoder: nn.Module
    history: pd.DataFrame
    progress: Progress


def build_encoder(run: ResolvedRun) -> nn.Module:
    """The run's encoder as initialised from its seed; the same for every method."""
    torch.manual_seed(seed_of(run.pretrain.seed, "encoder"))
    groups = run.settings.bn_groups if isinstance(run.settings, MoCo) else 1
    return build_backbone(run.backbone, stem=run.pretrain.stem, bn_groups=groups)


def build_method(run: ResolvedRun, autocast: torch.dtype | None) -> Method:
    encoder = build_encoder(run)
    torch.manual_seed(seed_of(run.pretrain.seed, "method"))
    return METHODS[run.method](encoder, run.settings, autocast)


def train(
    run: ResolvedRun,
    images: Tensor,
    watched: list[Watched],
    state: RunState,
    *,
    device: torch.device,
    autocast: torch.dtype | None,
) -> Trained:
    """Train `run` on images (N, S, S, 3) uint8, from its last checkpoint if there is one.

    Raises UserError when the run cannot start, diverges or collapses (its history is kept beside
    the checkpoint), Interrupted after SIGTERM or SIGINT with the state saved.
    """
    settings = run.pretrain
    refuse_misfits(run, len(images))
    method = build_method(run, autocast).to(device, memory_format=torch.channels_last).train()
    optimizer = build_optimizer(method, run.settings)
    multicrop = build_views(settings.views, run.image_size)
    plan = Plan(len(images), settings.batch_size, settings.seed)
    steps = settings.epochs * plan.steps
    peak = peak_lr(run.settings.lr, run.settings.lr_scaling, settings.batch_size)
    lrs = warmup_cosine(peak, steps, round(settings.warmup_epochs * plan.steps))

    progress = restore(state, method, optimizer, device) or Progress()
    if progress.step:
        say(f"{run.name}: resumed at step {progress.step} of {steps}")
    saved = time.monotonic()
    embedding: Tensor | None = None

    with stop_signals() as stop, bar(run.name, steps, progress.step) as shown:
        while progress.step < steps:
            epoch, first = divmod(progress.step, plan.steps)
            views = views_of_epoch(images, multicrop, plan, epoch, first, settings.views.workers)
            pending: list[Tensor] = []
            for i in range(first, plan.steps):
                started = time.perf_counter()
                global_views, local_views = on_device(next(views), device)
                waited = time.perf_counter() - started

                set_lr(optimizer, float(lrs[progress.step]))
                step = Step(progress.step, steps, settings.seed)
                output = method.loss(global_views, local_views, step)
                optimizer.zero_grad(set_to_none=True)
                output.loss.backward()
                optimizer.step()
                method.after_step(step)

                pending.append(output.loss.detach())
                embedding = output.embedding
                last_of_epoch = i == plan.steps - 1
                if len(pending) == CHECK_STEPS[device.type] or last_of_epoch:
                    progress.epoch.loss_sum += finite_sum(pending, run.name, progress, state)
                    pending = []
                progress.step += 1
                for clock in (progress.epoch.clock, progress.total):
                    clock.train += time.perf_counter() - started
                    clock.waiting_for_views += waited
                    clock.images += settings.batch_size
                shown.update()

                if last_of_epoch:
                    row = epoch_row(progress, plan, lrs, embedding)
                    row |= online_scores(
                        method.encoder,
                        watched,
                        settings.online,
                        epoch + 1,
                        settings.epochs,
                        device=device,
                        autocast=autocast,
                    )
                    progress.history.append(row)
                    progress.epoch, progress.resumed_this_epoch = EpochSoFar(), False
                    shown.epoch(row, settings.epochs)
                    keep_history(state, progress)
                    stop_if_collapsed(run.name, progress.history, embedding.shape[1], state)
                due = time.monotonic() - saved >= 60 * settings.checkpoint_minutes
                if stop.number or due or progress.step == steps:
                    progress.epoch.loss_sum += finite_sum(pending, run.name, progress, state)
                    pending = []
                    save(state, method, optimizer, progress)
                    saved = time.monotonic()
                if stop.number and progress.step < steps:
                    say(f"{run.name}: state saved at step {progress.step}; run again to go on")
                    raise Interrupted(stop.number)
    return Trained(method.encoder.eval(), pd.DataFrame(progress.history), progress)


def refuse_misfits(run: ResolvedRun, images: int) -> None:
    """What can only be checked once the corpus is counted."""
    if run.pretrain.batch_size > images:
        raise UserError(
            f"runs.{run.name}: batch_size {run.pretrain.batch_size} is larger than corpus "
            f"{run.corpus!r} ({images} images)"
        )
    if isinstance(run.settings, MoCo) and run.settings.queue > images:
        raise UserError(
            f"runs.{run.name}: queue {run.settings.queue} is larger than corpus {run.corpus!r} "
            f"({images} images): positives would be among the negatives; make queue smaller"
        )


def on_device(
    views: tuple[list[Tensor], list[Tensor]], device: torch.device
) -> tuple[list[Tensor], list[Tensor]]:
    """Normalised views, channels last, on the device."""

    def move(view: Tensor) -> Tensor:
        view = normalize(view.to(device, non_blocking=True))
        return view.contiguous(memory_format=torch.channels_last)

    return [move(v) for v in views[0]], [move(v) for v in views[1]]


def finite_sum(losses: list[Tensor], name: str, progress: Progress, state: RunState) -> float:
    total = torch.stack(losses).double().sum().item() if losses else 0.0
    if not math.isfinite(total):
        keep_history(state, progress)
        raise UserError(
            f"{name}: the loss is not finite at step {progress.step + 1}; lower lr, lengthen "
            f"warmup_epochs or set precision: fp32. The history so far: {state.history}"
        )
    return total


def epoch_row(progress: Progress, plan: Plan, lrs: Any, embedding: Tensor) -> dict[str, Any]:
    clock = progress.epoch.clock
    return {
        "epoch": progress.step // plan.steps,
        "step": progress.step,
        "loss": progress.epoch.loss_sum / plan.steps,
        "lr": float(lrs[progress.step - 1]),
        "images_per_s": clock.images / clock.train,
        "data_wait": clock.waiting_for_views / clock.train,
        "z_std": feature_std(embedding),
        "z_rank": effective_rank(embedding),
        "resumed": int(progress.resumed_this_epoch),
    }


def stop_if_collapsed(
    name: str, history: list[dict[str, Any]], dimension: int, state: RunState
) -> None:
    if collapsed([row["z_std"] for row in history], dimension):
        raise UserError(
            f"{name}: collapsed at epoch {history[-1]['epoch']}: all images have nearly the same "
            f"embedding (std {history[-1]['z_std']:.2g}, healthy {1 / math.sqrt(dimension):.2g}); "
            f"change lr, ema or weight_decay. The history so far: {state.history}"
        )


def keep_history(state: RunState, progress: Progress) -> None:
    write_text(state.history, pd.DataFrame(progress.history).to_csv(index=False))


def save(
    state: RunState, method: Method, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    state.save(
        {
            "method": method.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": progress.step,
            "total": vars(progress.total),
            "epoch": {"loss_sum": progress.epoch.loss_sum, "clock": vars(progress.epoch.clock)},
            "history": progress.history,
            "resumed": progress.resumed,
            "resumed_this_epoch": progress.resumed_this_epoch,
        }
    )


def restore(
    state: RunState, method: Method, optimizer: torch.optim.Optimizer, device: torch.device
) -> Progress | None:
    saved = state.load(device)
    if saved is None:
        return None
    method.load_state_dict(saved["method"])
    optimizer.load_state_dict(saved["optimizer"])
    epoch = saved["epoch"]
    return Progress(
        step=saved["step"],
        total=Clock(**saved["total"]),
        epoch=EpochSoFar(epoch["loss_sum"], Clock(**epoch["clock"])),
        history=saved["history"],
        resumed=saved["resumed"] + 1,
        resumed_this_epoch=True,
    )


@dataclass
class Stop:
    number: int = 0


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Note SIGTERM and SIGINT instead of dying, so that the step can end and be saved."""
    stop = Stop()

    def note(number: int, _frame: object) -> None:
        stop.number = number

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class bar:
    """Steps on a terminal; a line for each epoch in a log."""

    def __init__(self, name: str, steps: int, done: int) -> None:
        self.name = name
        self.tqdm = tqdm(
            desc=name,
            total=steps,
            initial=done,
            unit=" steps",
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> "bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.tqdm.close()

    def update(self) -> None:
        self.tqdm.update()

    def epoch(self, row: dict[str, Any], epochs: int) -> None:
        scores = "".join(
            f", {key.replace('_', ' ', 1)} {value:.1%}"
            for key, value in row.items()
            if key.startswith(("knn_", "probe_")) and value is not None
        )
        say(
            f"{self.name}: epoch {row['epoch']}/{epochs}, loss {row['loss']:.3f}, "
            f"{row['images_per_s']:.0f} images/s{scores}"
        )
