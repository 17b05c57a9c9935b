"""Batch normalisation over groups of the batch: several GPUs' statistics on one device."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SplitBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d whose training statistics are taken in `groups` equal parts of the batch.

    With ordinary statistics a permutation of the batch changes nothing, so shuffled batch
    normalisation (MoCo, He et al. 2020, section 3.3) needs groups to have an effect on one device.
    Running statistics move by the mean of the groups' statistics; evaluation and the state dict
    are those of BatchNorm2d. Shapes: (N, C, H, W) -> the same, N a multiple of `groups`.
    """

    # never without running statistics, and never cumulative
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def __init__(self, num_features: int, groups: int, **options) -> None:
        super().__init__(num_features, **options)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        if len(x) % self.groups:
            raise ValueError(f"a batch of {len(x)} does not divide into {self.groups} groups")
        normalise = self._in_one_piece if torch.compiler.is_compiling() else self._chunk_by_chunk
        y, means, variances = normalise(x)
        with torch.no_grad():
            self.running_mean.lerp_(means.mean(0), self.momentum)
            self.running_var.lerp_(variances.mean(0), self.momentum)
            self.num_batches_tracked += 1
        return y

    def _chunk_by_chunk(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The result, and the groups' means and unbiased variances (groups, C).

        A chunk of the batch stays contiguous in either memory layout, so each group runs through
        the fused kernel. Momentum 1 leaves the group's own statistics in its row.
        """
        means = self.running_mean.new_zeros(self.groups, self.num_features)
        variances = torch.ones_like(means)
        parts = [
            F.batch_norm(part, mean, variance, self.weight, self.bias, True, 1.0, self.eps)
            for part, mean, variance in zip(
                x.chunk(self.groups), means.unbind(), variances.unbind(), strict=True
            )
        ]
        return torch.cat(parts), means, variances

    def _in_one_piece(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same in operations that a compiler fuses, instead of `groups` times as many kernels."""
        parts = x.unflatten(0, (self.groups, -1)).float()
        variance, mean = torch.var_mean(parts, (1, 3, 4), correction=0, keepdim=True)
        y = (parts - mean) * torch.rsqrt(variance + self.eps)
        scale, shift = (p[:, None, None] for p in (self.weight, self.bias))
        y = torch.addcmul(shift, y.flatten(0, 1), scale).to(x.dtype)
        count = parts[0].numel() // self.num_features
        means, variances = mean.detach().flatten(1), variance.detach().flatten(1)
        return y, means, variances * (count / (count - 1))
