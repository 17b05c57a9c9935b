"""What every method is to the training loop."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Step:
    """Where training stands: optimiser step `index` of `total`, and the run's seed.

    part: which of the step's parts, when its batch is worked through in several (accumulation).
    """

    index: int
    total: int
    seed: int
    part: int = 0


@dataclass(frozen=True)
class Output:
    """loss: scalar, fp32, with gradient. embedding: (N, d) fp32 unit vectors of one global view,
    without gradient, from which the monitor sees a collapse."""

    loss: Tensor
    embedding: Tensor


class Method(nn.Module):
    """Encoder, heads and whatever else a method trains with; all its state in ordinary buffers.

    A subclass builds its heads in `__init__`, computes its loss in `loss`, and does in
    `after_step` what follows the optimiser. Parameters with `requires_grad` are optimised.
    Of several ranks each has its part of the batch, and the gradients are averaged over them.
    """

    def __init__(self, encoder: nn.Module, autocast: torch.dtype | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.autocast = autocast

    def loss(self, global_views: list[Tensor], local_views: list[Tensor], step: Step) -> Output:
        """`global_views`: two tensors (N, 3, S, S); `local_views`: any number of (N, 3, s, s)."""
        raise NotImplementedError

    def forward(self, global_views: list[Tensor], local_views: list[Tensor], step: Step) -> Output:
        """`loss`, where DistributedDataParallel looks for it."""
        return self.loss(global_views, local_views, step)

    def after_step(self, step: Step) -> None:
        """Called once after each optimiser step."""

    def project(self, views: list[Tensor], *networks: nn.Module) -> list[Tensor]:
        """One joint forward pass of equally sized views through `networks`, as fp32 per view.

        Losses are computed from the result outside autocast: normalisation, temperature and
        cross-entropy need fp32 (exp(s/τ) overflows fp16 for τ < 0.09; bf16 has steps of 1/16 at
        logits near 10).
        """
        x = torch.cat(views) if len(views) > 1 else views[0]
        with torch.autocast(x.device.type, self.autocast, enabled=self.autocast is not None):
            for network in networks:
                x = network(x)
        return list(x.float().chunk(len(views)))
