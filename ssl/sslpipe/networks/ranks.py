"""What the ranks of one training tell each other, and the same calls for a training of one.

A rank is one process with one device. The batch is cut into equal parts, a rank's at its place, so
that joining the ranks' tensors in their order gives the batch back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

# The first rank alone scores the encoder while training, and the others wait for it. That a rank
# has died is noticed by the launcher, not by this.
PATIENCE = timedelta(hours=6)

_alone = False


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this rank counts as the only one: for work that the others do not take part in."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and not _alone


def rank() -> int:
    return dist.get_rank() if distributed() else 0


def ranks() -> int:
    return dist.get_world_size() if distributed() else 1


class _Gather(torch.autograd.Function):
    """All-gather forward; backward sums over ranks and keeps the own slice (SimCLR, section 2.2).

    Each rank's loss depends on every rank's embeddings, so each embedding's gradient is a sum over
    the losses of all ranks. `torch.distributed.all_gather` alone would drop the others' terms.
    """

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient[dist.get_rank()]


def gather(x: Tensor) -> Tensor:
    """(…) -> (W, …): `x` of every rank, with gradient; W = 1 where nothing is distributed."""
    return _Gather.apply(x) if distributed() else x[None]


def joined(x: Tensor) -> Tensor:
    """(N, …) -> (W·N, …): the ranks' parts of a batch in their order, with gradient."""
    return gather(x).flatten(0, 1)


def own_part(x: Tensor) -> Tensor:
    """(W·N, …) -> (N, …): this rank's part of a batch."""
    return x.chunk(ranks())[rank()]


@torch.no_grad()
def mean_over_ranks(tensors: list[Tensor]) -> None:
    """Each tensor becomes its mean over the ranks, in place."""
    if distributed():
        for tensor in tensors:
            dist.all_reduce(tensor)
            tensor /= ranks()


def reduced(values: list[float], device: torch.device, *, largest: bool) -> list[float]:
    """Plain numbers: the largest, or the sum, over the ranks."""
    if not distributed():
        return values
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(tensor, dist.ReduceOp.MAX if largest else dist.ReduceOp.SUM)
    return tensor.tolist()
