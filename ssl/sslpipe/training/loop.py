"""The training loop: from a corpus of uint8 images to an encoder and a history."""

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sslpipe.errors import Interrupted, UserError
from sslpipe.files import write_text
from sslpipe.methods import METHODS
from sslpipe.methods.method import Method, Step
from sslpipe.networks.backbones import build_backbone
from sslpipe.progress import StepBar, say
from sslpipe.schema import MoCo, ResolvedRun
from sslpipe.seeds import seed_of
from sslpipe.training.batches import Plan, build_views, views_of_epoch
from sslpipe.training.checkpoint import RunState
from sslpipe.training.monitor import collapsed
from sslpipe.training.online import Watched, online_scores
from sslpipe.training.optimizers import build_optimizer, set_lr
from sslpipe.training.schedules import peak_lr, warmup_cosine
from sslpipe.training.signals import stop_signals
from sslpipe.training.state import TrainingState
from sslpipe.views.normalize import normalize

# Reading a loss waits for the device, so on a GPU it is done once in so many steps.
STEPS_PER_READING = {"cpu": 1, "cuda": 50}


@dataclass(frozen=True)
class Trained:
    """encoder: in evaluation mode. state: with the history, a row for each epoch."""

    encoder: nn.Module
    state: TrainingState


def train(
    run: ResolvedRun,
    images: Tensor,
    watched: list[Watched],
    saved: RunState,
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
    lrs = warmup_cosine(peak, steps, round(settings.warmup_epochs * plan.steps)).tolist()

    state = TrainingState()
    if (checkpoint := saved.load(device)) is not None:
        state = TrainingState.from_checkpoint(checkpoint, method, optimizer)
        say(f"{run.name}: resumed at step {state.step} of {steps}")
    last_save = time.monotonic()

    with stop_signals() as stop, StepBar(run.name, steps, state.step) as bar:
        while state.step < steps:
            epoch, done = divmod(state.step, plan.steps)
            views = views_of_epoch(images, multicrop, plan, epoch, done, settings.views.workers)
            for _ in range(done, plan.steps):
                started = time.perf_counter()
                global_views, local_views = (as_input(some, device) for some in next(views))
                waited = time.perf_counter() - started

                lr = lrs[state.step]
                set_lr(optimizer, lr)
                step = Step(state.step, steps, settings.seed)
                output = method.loss(global_views, local_views, step)
                optimizer.zero_grad(set_to_none=True)
                output.loss.backward()
                optimizer.step()
                method.after_step(step)

                state.step += 1
                state.losses.append(output.loss.detach())
                epoch_ends = state.step % plan.steps == 0
                save_due = (
                    stop.number != 0
                    or state.step == steps
                    or time.monotonic() - last_save >= 60 * settings.checkpoint_minutes
                )
                reading_due = len(state.losses) >= STEPS_PER_READING[device.type]
                if (reading_due or epoch_ends or save_due) and not math.isfinite(
                    state.read_losses()
                ):
                    refuse_divergence(run.name, state, saved)
                for clock in (state.clock, state.epoch_clock):
                    clock.add(time.perf_counter() - started, waited, settings.batch_size)
                bar.step()

                if epoch_ends:
                    row = state.end_epoch(plan.steps, lr, output.embedding)
                    row |= online_scores(
                        method.encoder,
                        watched,
                        settings.online,
                        epoch + 1,
                        settings.epochs,
                        device=device,
                        autocast=autocast,
                    )
                    bar.epoch(row, settings.epochs)
                    write_text(saved.history, state.table().to_csv(index=False))
                    refuse_collapse(run.name, state, saved, output.embedding.shape[1])
                if save_due:
                    saved.save(state.to_checkpoint(method, optimizer))
                    last_save = time.monotonic()
                if stop.number and state.step < steps:
                    say(f"{run.name}: state saved at step {state.step}; run again to go on")
                    raise Interrupted(stop.number)
    return Trained(method.encoder.eval(), state)


def build_encoder(run: ResolvedRun) -> nn.Module:
    """The run's encoder as initialised from its seed; the same for every method."""
    torch.manual_seed(seed_of(run.pretrain.seed, "encoder"))
    groups = run.settings.bn_groups if isinstance(run.settings, MoCo) else 1
    return build_backbone(run.backbone, stem=run.pretrain.stem, bn_groups=groups)


def build_method(run: ResolvedRun, autocast: torch.dtype | None) -> Method:
    encoder = build_encoder(run)
    torch.manual_seed(seed_of(run.pretrain.seed, "method"))
    return METHODS[run.method](encoder, run.settings, autocast)


def as_input(views: list[Tensor], device: torch.device) -> list[Tensor]:
    """Views float (N, 3, S, S) in [0, 1], normalised and channels last on the device."""
    moved = (normalize(view.to(device, non_blocking=True)) for view in views)
    return [view.contiguous(memory_format=torch.channels_last) for view in moved]


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


def refuse_divergence(name: str, state: TrainingState, saved: RunState) -> None:
    write_text(saved.history, state.table().to_csv(index=False))
    raise UserError(
        f"{name}: the loss is not finite at step {state.step}; lower lr, lengthen "
        f"warmup_epochs or set precision: fp32. The history so far: {saved.history}"
    )


def refuse_collapse(name: str, state: TrainingState, saved: RunState, dimension: int) -> None:
    if collapsed([row["z_std"] for row in state.history], dimension):
        raise UserError(
            f"{name}: collapsed at epoch {state.history[-1]['epoch']}: all images have nearly the "
            f"same embedding (std {state.history[-1]['z_std']:.2g}, healthy "
            f"{1 / math.sqrt(dimension):.2g}); change lr, ema or weight_decay. "
            f"The history so far: {saved.history}"
        )
