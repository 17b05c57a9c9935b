"""Joining the embeddings of all ranks, so that W ranks of N images equal one rank of W·N."""

import torch
import torch.distributed as dist
from torch import Tensor


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
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[dist.get_rank()]


def gather(x: Tensor) -> Tensor:
    """(…) -> (W, …): `x` of every rank, with gradient; W = 1 where nothing is distributed."""
    if dist.is_available() and dist.is_initialized():
        return _Gather.apply(x)
    return x[None]


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
