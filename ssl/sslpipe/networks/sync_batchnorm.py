"""Batch normalisation over the batch of all ranks."""

import torch
from torch import Tensor, nn

from sslpipe.networks.ranks import distributed, gather, ranks
from sslpipe.networks.split_batchnorm import SplitBatchNorm2d


class SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Training statistics are those of the ranks' joined batch, with their gradient.

    So W ranks of N images compute what one rank of W·N computes. Unlike torch's, it runs on any
    device and never waits for it; the ranks must have equally many images. State dict and
    evaluation are BatchNorm's. Shapes: (N, C) or (N, C, H, W) -> the same.
    """

    # never without running statistics, and never cumulative
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def _check_input_dim(self, x: Tensor) -> None:
        if x.ndim not in (2, 4):
            raise ValueError(f"expected (N, C) or (N, C, H, W), got {x.ndim} dimensions")

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        dims = [0, *range(2, x.ndim)]
        shape = [1, -1] + [1] * (x.ndim - 2)
        values = x if x.dtype == torch.float64 else x.float()
        variance, mean = torch.var_mean(values, dims, correction=0)
        every = gather(torch.stack([mean, variance]))  # (W, 2, C)
        # The parallel form of Chan et al. 1979: no cancellation as in E[x²] - E[x]².
        mean = every[:, 0].mean(0)
        variance = (every[:, 1] + (every[:, 0] - mean).square()).mean(0)
        with torch.no_grad():
            count = ranks() * x.numel() // x.shape[1]
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            unbiased = variance * (count / (count - 1))
            self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
            self.num_batches_tracked += 1
        scale = torch.rsqrt(variance + self.eps) * self.weight
        shift = self.bias - mean * scale
        return torch.addcmul(shift.view(shape), values, scale.view(shape)).to(x.dtype)


def normalise_across_ranks(network: nn.Module, *, sync: bool) -> None:
    """Give a network's batch normalisation, in place, the statistics that a rank is to use.

    Groups of a split batch are dealt out to the ranks, so that they hold the same images whatever the
    number of ranks. Other statistics are those of the joined batch with `sync`, else a rank's own.
    A training of one process keeps torch's layers, which are faster. Raises ValueError where the
    groups cannot be dealt out equally.
    """
    if not distributed():
        return
    for name, child in network.named_children():
        if isinstance(child, SplitBatchNorm2d):
            if child.groups % ranks():
                raise ValueError(f"{child.groups} groups cannot be dealt to {ranks()} ranks")
            child.groups //= ranks()
        elif isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d) and sync:
            setattr(network, name, _synchronised(child))
        else:
            normalise_across_ranks(child, sync=sync)


def _synchronised(plain: nn.BatchNorm1d | nn.BatchNorm2d) -> SyncBatchNorm:
    synchronised = SyncBatchNorm(plain.num_features, plain.eps, plain.momentum)
    synchronised.to(plain.weight)
    synchronised.load_state_dict(plain.state_dict())
    for new, old in zip(synchronised.parameters(), plain.parameters(), strict=True):
        new.requires_grad_(old.requires_grad)
    return synchronised
