"""The training loop: from a corpus of uint8 images to an encoder and a history."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sslpipe.data.corpus_images import Images
from sslpipe.errors import Interrupted, UserError
from sslpipe.io.files import write_text
from sslpipe.io.progress import StepBar, say
from sslpipe.methods import method_class
from sslpipe.methods.method import Labels, Method, Step
from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.encoder import Encoder
from sslpipe.networks.ranks import joined, mean_over_ranks, rank, ranks, reduced
from sslpipe.networks.sync_batchnorm import normalise_across_ranks
from sslpipe.optim.optimizers import build_optimizer, set_step
from sslpipe.optim.schedules import cosine, peak_lr, warmup_cosine
from sslpipe.running import memory
from sslpipe.running.checkpoint import RunState
from sslpipe.running.cost import Cost, cost_of
from sslpipe.running.energy import EnergyMeter
from sslpipe.running.signals import Agreement, stop_signals
from sslpipe.running.waiting import Waiting
from sslpipe.schema.methods.base import Given
from sslpipe.schema.training import ResolvedRun
from sslpipe.seeds import seed_of
from sslpipe.training.batches import Part, Plan, as_input, build_views, views_of_epoch
from sslpipe.training.compilation import compile_networks, compiles
from sslpipe.training.monitor import collapsed
from sslpipe.training.online import Watched, online_scores
from sslpipe.training.precision import arithmetic
from sslpipe.training.state import TrainingState
from sslpipe.training.step import OptimizerStep

# Reading a loss waits for the device, so on a GPU it is done once in so many steps.
STEPS_PER_READING = {"cpu": 1, "cuda": 50}
# Steps after each start that compile, or try kernels, and that no clock counts.
WARM_UP_STEPS = 3


@dataclass(frozen=True)
class Trained:
    """encoder: in evaluation mode. state: with the history, a row for each epoch. cost: of a part
    of a batch on one rank. images_on: where the corpus lay while training."""

    encoder: Encoder
    state: TrainingState
    cost: Cost
    images_on: str


def train(
    run: ResolvedRun,
    images: Images,
    watched: list[Watched],
    saved: RunState,
    *,
    device: torch.device,
    autocast: torch.dtype | None,
    labels: Labels | None = None,
    classes: Sequence[int] = (),
) -> Trained:
    """Train `run` on images (N, S, S, 3) uint8, from its last checkpoint if there is one.

    Of several ranks each calls this, with the same arguments but its own device.
    labels, classes: for a method that asks for labels; how many classes each set of the corpus has.
    Raises UserError when the run cannot start, diverges or collapses (its history is kept beside
    the checkpoint) or runs out of memory, Interrupted after SIGTERM, SIGINT or SIGUSR1 with the state saved.
    """
    settings = run.pretrain
    refuse_misfits(run, len(images))
    method = build_method(run, autocast, classes)
    normalise_across_ranks(method, sync=settings.sync_bn or run.settings.OWN_BATCH_STATISTICS)
    part = settings.batch_size // (settings.accumulate * ranks())
    local_size = settings.views.local_size or run.image_size
    sides = [run.image_size] * method.GLOBAL_VIEWS, [local_size] * settings.views.local
    cost = cost_of(method, run.optimization.optimizer, part, *sides)
    memory.refuse_too_large(run, cost, device)
    with (
        arithmetic(deterministic=settings.deterministic),
        memory.out_of_memory(run, cost),
    ):
        # Worker processes cannot use a GPU's memory: there they read from the CPU's.
        if settings.views.workers == 0:
            images = memory.placed(run, images, cost, device)
        method = method.to(device).to(memory_format=torch.channels_last).train()
        state = take_steps(run, method, images, labels, watched, saved, device)
        return Trained(method.exported.eval(), state, cost, images.device.type)


def take_steps(
    run: ResolvedRun,
    method: Method,
    images: Images,
    labels: Labels | None,
    watched: list[Watched],
    saved: RunState,
    device: torch.device,
) -> TrainingState:
    """All steps that are left, with the history, the checkpoints and the answers to signals."""
    settings = run.pretrain
    compiled = compiles(settings.compile, device)
    if compiled:
        compile_networks(method, settings.compile)
    # Worker processes make views on the CPU, and each would compile its own.
    compiled_views = compiled and settings.views.workers == 0
    multicrop = build_views(
        settings.views,
        run.image_size,
        global_views=method.GLOBAL_VIEWS,
        colour=method.COLOUR,
        compiled=compiled_views,
    )
    optimization = run.optimization
    optimizer = build_optimizer(method, optimization, method.rate, method.NO_DECAY)
    optimizer_step = OptimizerStep(method, optimizer, settings)
    plan = Plan(
        len(images), settings.batch_size, settings.seed, settings.accumulate, rank(), ranks()
    )
    steps = settings.epochs * plan.steps
    peak = peak_lr(optimization.lr, optimization.lr_scaling, settings.batch_size)
    lrs = warmup_cosine(peak, steps, round(settings.warmup_epochs * plan.steps)).tolist()
    first, last = optimization.weight_decay, optimization.weight_decay_end
    decays = cosine(first, first if last is None else last, steps).tolist()
    lead = rank() == 0

    state = TrainingState()
    with saved.restoring():
        if (checkpoint := saved.load(device)) is not None:
            scaler = optimizer_step.scaler
            state = TrainingState.from_checkpoint(checkpoint, method, optimizer, scaler)
    del checkpoint  # a copy of all weights
    if state.resumed:
        say(f"{run.name}: resumed at step {state.step} of {steps}")
    last_save = time.monotonic()
    warm_at = state.step + (WARM_UP_STEPS if compiled or device.type == "cuda" else 0)
    agreement, meter, waiting = Agreement(), EnergyMeter(device), Waiting(device)

    with stop_signals() as stop, StepBar(run.name, steps, state.step, settings.batch_size) as bar:
        while state.step < steps:
            epoch, done = divmod(state.step, plan.steps)
            views = views_of_epoch(
                images,
                multicrop,
                plan,
                epoch,
                done,
                device=device,
                workers=settings.views.workers,
                labels=labels,
            )
            for _ in range(done, plan.steps):
                started = time.perf_counter()
                parts = (next_part(views, device, waiting) for _ in range(settings.accumulate))
                lr = lrs[state.step]
                set_step(optimizer, lr, peak, decays[state.step])
                loss, embedding = optimizer_step(parts, Step(state.step, steps, settings.seed))

                state.step += 1
                state.losses.append(loss)
                epoch_ends = state.step % plan.steps == 0
                overdue = time.monotonic() - last_save >= 60 * settings.checkpoint_minutes
                stopped, asked = agreement.hear(stop.number, lead and overdue)
                save_due = asked or stopped != 0 or state.step == steps
                reading_due = len(state.losses) >= STEPS_PER_READING[device.type]
                waited = 0.0
                if reading_due or epoch_ends or save_due or state.step == warm_at:
                    if not math.isfinite(state.read_losses()):
                        refuse_divergence(run.name, state, saved)
                    waited = waiting.read()
                took = time.perf_counter() - started
                if state.step <= warm_at:
                    state.warm_up += took
                else:
                    for clock in (state.clock, state.epoch_clock):
                        clock.add(took, waited, settings.batch_size)
                bar.step()

                if epoch_ends or save_due:
                    mean_over_ranks(batch_statistics(method))
                    read_meters(state, meter, device)
                if epoch_ends:
                    row = state.end_epoch(plan.steps, lr, joined(embedding))
                    if lead:
                        row |= evaluate_online(run, method, watched, epoch + 1, device)
                        bar.epoch(row, settings.epochs)
                        write_text(saved.history, state.table().to_csv(index=False))
                    if method.WATCHED:
                        refuse_collapse(run.name, state, saved, embedding.shape[1])
                if save_due:
                    if lead:
                        saved.save(state.to_checkpoint(method, optimizer, optimizer_step.scaler))
                    last_save = time.monotonic()
                if stopped and state.step < steps:
                    say(f"{run.name}: state saved at step {state.step}; run again to go on")
                    raise Interrupted(stopped)
    return state


def next_part(parts: Iterator[Part], device: torch.device, waiting: Waiting) -> Part:
    """Normalised, on the device."""
    with waiting.measured():
        return as_input(next(parts), device)


def evaluate_online(
    run: ResolvedRun, method: Method, watched: list[Watched], epoch: int, device: torch.device
) -> dict[str, float | None]:
    """Columns of the history's row. Never compiled: batches of all sizes come, each only once."""
    with torch.compiler.set_stance("force_eager"):
        return online_scores(
            method.exported,
            watched,
            run.pretrain.online,
            epoch,
            run.pretrain.epochs,
            device=device,
            autocast=method.autocast,
        )


def batch_statistics(method: Method) -> list[Tensor]:
    """The running means and variances, which follow from each rank's own images."""
    named = method.named_buffers()
    return [b for name, b in named if name.endswith(("running_mean", "running_var"))]


def read_meters(state: TrainingState, meter: EnergyMeter, device: torch.device) -> None:
    used = meter.used()
    joules = math.nan if used is None else used
    (joules,) = reduced([joules], device, largest=False)
    state.energy = None if math.isnan(joules) or state.energy is None else state.energy + joules
    (highest,) = reduced([float(memory.peak(device))], device, largest=True)
    state.peak_memory = max(state.peak_memory, int(highest))


def build_encoder(run: ResolvedRun) -> Encoder:
    """The run's encoder as initialised from its seed; the same for every method."""
    torch.manual_seed(seed_of(run.pretrain.seed, "encoder"))
    groups = run.settings.batch_groups
    return build_backbone(run.backbone, stem=run.pretrain.stem, bn_groups=groups)


def build_method(
    run: ResolvedRun, autocast: torch.dtype | None, classes: Sequence[int] = ()
) -> Method:
    encoder, kind = build_encoder(run), method_class(run.method)
    torch.manual_seed(seed_of(run.pretrain.seed, "method"))
    labelled = {"classes": classes} if kind.LABELLED else {}
    build: Callable[..., Method] = kind  # each has settings of its own
    return build(encoder, run.settings, autocast, **labelled)


def refuse_misfits(run: ResolvedRun, images: int) -> None:
    """What can only be checked once the corpus and the ranks are counted."""
    given = Given(images, f"{images} images", ranks(), f"{ranks()} processes")
    if misfits := list(run.misfits(given)):
        raise UserError("\n".join(f"runs.{run.name}: {misfit}" for misfit in misfits))


def refuse_divergence(name: str, state: TrainingState, saved: RunState) -> None:
    if rank() == 0:
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
