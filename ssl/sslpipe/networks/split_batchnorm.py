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

    def __init__(self, num_features: int, groups: int, **options) -> None:
        super().__init__(num_features, **options)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        if len(x) % self.groups:
            raise ValueError(f"a batch of {len(x)} does not divide into {self.groups} groups")
        # A chunk of the batch stays contiguous in either memory layout, so each group runs
        # through the fused kernel. Momentum 1 leaves the group's own statistics in its row.
        means = self.running_mean.new_zeros(self.groups, self.num_features)
        variances = torch.ones_like(means)
        parts = [
            F.batch_norm(part, mean, variance, self.weight, self.bias, True, 1.0, self.eps)
            for part, mean, variance in zip(
                x.chunk(self.groups), means.unbind(), variances.unbind(), strict=True
            )
        ]
        with torch.no_grad():
            self.running_mean.lerp_(means.mean(0), self.momentum)
            self.running_var.lerp_(variances.mean(0), self.momentum)
            self.num_batches_tracked += 1
        return torch.cat(parts)
