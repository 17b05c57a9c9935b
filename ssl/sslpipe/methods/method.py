"""What every method is to the training loop."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from sslpipe.networks.encoder import Encoder
from sslpipe.optim.optimizers import Rate


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


class Labels(NamedTuple):
    """of_class: int64 (N,), the class within its data set, -1 without a label; of_set: int64 (N,), which
    of the corpus's sets."""

    of_class: Tensor
    of_set: Tensor


class Method(nn.Module):
    """Encoder, heads and whatever else a method trains with; all its state in ordinary buffers.

    A subclass builds its heads in `__init__` and computes its loss in `loss`; what else it may need of
    the training loop, it says here. Parameters with `requires_grad` are optimised.
    Of several ranks each has its part of the batch, and the gradients are averaged over them.
    """

    GLOBAL_VIEWS: ClassVar[int] = 2
    """1 or 2."""
    COLOUR: ClassVar[bool] = True
    """False: views are cropped and flipped, and neither their colours nor their sharpness changed."""
    LABELLED: ClassVar[bool] = False
    """True: `__init__` gets `classes`, how many each set of the corpus has, and `loss` gets `labels`."""
    WATCHED: ClassVar[bool] = True
    """Whether a training is refused whose embeddings fall together."""
    NO_DECAY: ClassVar[tuple[str, ...]] = ("cls_token", "mask_token", "pos_embed")
    """Parameters of these names, or below them, have no weight decay, as those of one dimension."""

    def __init__(self, encoder: Encoder, autocast: torch.dtype | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.autocast = autocast

    @property
    def exported(self) -> Encoder:
        """The encoder that is scored and saved."""
        return self.encoder

    def loss(self, global_views: list[Tensor], local_views: list[Tensor], step: Step) -> Output:
        """`global_views`: GLOBAL_VIEWS tensors (N, 3, S, S); `local_views`: any number of (N, 3, s, s).

        A labelled method's takes `labels` too."""
        raise NotImplementedError

    def forward(
        self, global_views: list[Tensor], local_views: list[Tensor], step: Step, *labels: Labels
    ) -> Output:
        """`loss`, where DistributedDataParallel looks for it."""
        return self.loss(global_views, local_views, step, *labels)

    def rate(self, name: str) -> Rate:
        """How the learning rate counts for a parameter, by its name."""
        return Rate()

    def after_backward(self, step: Step) -> None:
        """Called once in each optimiser step before it changes a weight, with the step's gradients,
        clipped. A parameter whose gradient is set to None stays as it is."""

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
