"""How much memory there is, how much was used, and what to say when it does not suffice."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from sslpipe.data.corpus_images import Images
from sslpipe.errors import UserError
from sslpipe.io.progress import say
from sslpipe.networks.ranks import ranks
from sslpipe.running.cost import Cost
from sslpipe.schema.training import ResolvedRun

GIB = 2**30
# What libraries, kernels' workspaces and a batch's views take beside the counted tensors.
MARGIN = 2 * GIB


def available(device: torch.device) -> int:
    """Bytes that this process could still take, on the device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def peak(device: torch.device) -> int:
    """The most bytes that this process has held: tensors on a GPU, everything on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def refuse_too_large(run: ResolvedRun, cost: Cost, device: torch.device) -> None:
    """Raises UserError if what can be counted beforehand already exceeds the memory."""
    free = available(device)
    if cost.memory > free:
        raise UserError(_too_large(run, cost, f"{free / GIB:.1f} GiB are free", free))


@contextmanager
def out_of_memory(run: ResolvedRun, cost: Cost) -> Iterator[None]:
    """Turns an allocation that failed into UserError."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        # Of what was counted beforehand not all fitted.
        raise UserError(
            _too_large(run, cost, "the device ran out of memory", cost.memory - 1)
        ) from None


def is_out_of_memory(error: RuntimeError) -> bool:
    """torch has a class for a GPU's, and a text for a CPU's."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _too_large(run: ResolvedRun, cost: Cost, state: str, limit: int) -> str:
    settings = run.pretrain
    part = settings.batch_size // (settings.accumulate * ranks())
    parts = _parts_that_fit(run, cost, limit)
    smaller = f"accumulate: {parts} (or more) or " if parts else ""
    return (
        f"runs.{run.name}: batch_size {settings.batch_size} at {run.image_size} px needs more than "
        f"{cost.memory / GIB:.1f} GiB ({cost.activations / GIB:.1f} for {run.backbone}'s activations "
        f"of {part} images at a time) and {state}; set {smaller}a smaller batch_size"
    )


def _parts_that_fit(run: ResolvedRun, cost: Cost, limit: int) -> int | None:
    """The smallest `accumulate` with which what was counted stays within `limit` bytes."""
    settings = run.pretrain
    smallest = max(ranks(), run.settings.batch_groups)  # of which each has 2 images
    for parts in range(settings.accumulate + 1, settings.batch_size // (2 * smallest) + 1):
        needs = cost.weights + cost.activations * settings.accumulate / parts
        if settings.batch_size % (parts * smallest) == 0 and needs <= limit:
            return parts
    return None


def placed(run: ResolvedRun, images: Images, cost: Cost, device: torch.device) -> Images:
    """The corpus (N, S, S, 3) uint8 where it is read from: the GPU's memory if it fits beside the
    training, else the CPU's. Says which."""
    if device.type == "cpu":
        return images
    free = available(device)
    # The counted tensors are what stays; operations' own outputs come on top.
    fits = images.nbytes + 1.5 * cost.memory + MARGIN < free
    where = "kept there" if fits else "kept in host memory and copied batch by batch"
    say(
        f"{run.name}: {images.nbytes / GIB:.2f} GiB of images, {free / GIB:.1f} GiB free on the GPU: "
        f"{where}"
    )
    return images.to(device) if fits else images
