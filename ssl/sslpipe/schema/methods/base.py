"""What the settings of every method have, and what they tell the training loop."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from sslpipe.schema.types import Count, NonNegative, Positive, Strict

if TYPE_CHECKING:
    from sslpipe.schema.training import ResolvedRun

Share = Annotated[float, Field(ge=0, lt=1)]
EmaSchedule = Literal["constant", "cosine", "linear"]
"""How the momentum of a copy's weights goes from `ema` to 1: not at all, along half a cosine or a line."""


class Given(NamedTuple):
    """What a batch has to go with: the corpus's images (None: not known yet), and the processes that
    share it; each in words too."""

    images: int | None
    images_in_words: str
    processes: int
    processes_in_words: str


class MethodSettings(Strict):
    """What the training loop asks of every method."""

    PAPER: ClassVar[str] = ""
    """Its name and who published it, as a model card has it."""
    OWN_BATCH_STATISTICS: ClassVar[bool] = False
    """Those of groups within the whole batch, never of each GPU's own images."""

    @property
    def batch_groups(self) -> int:
        """Groups of a batch whose statistics the encoder's batch normalisation takes apart."""
        return 1

    def misfits(self, run: "ResolvedRun", given: Given) -> Iterator[str]:
        """Which settings do not go together, each as a line without the run's name."""
        yield from ()


class Lars(Strict):
    """Of the optimiser lars alone: a layer's rate is lr · trust · ‖w‖/‖g + λw‖."""

    trust: Positive = 1e-3
    clip: bool = False
    """At most lr: no layer moves by more than `trust` of its length in a step, before momentum."""


class Optimizer(MethodSettings):
    optimizer: Literal["adam", "adamw", "sgd", "lars"] = "adam"
    """adam has L2 in the gradient, adamw decoupled weight decay, sgd momentum 0.9; lars is sgd with
    a rate of its own for each layer, for batches of thousands."""
    betas: Annotated[tuple[Share, Share], Field(strict=False)] = (0.9, 0.999)
    """Of adam and adamw."""
    lars: Lars = Lars()
    lr: Positive = 1e-3
    lr_scaling: Literal["none", "linear", "sqrt"] = "none"
    """linear: lr × batch/256; sqrt: lr × √(batch/256)."""
    weight_decay: NonNegative = 1e-4
    weight_decay_end: NonNegative | None = None
    """Reached at the last step along half a cosine; by default weight_decay stays."""


class Projector(Strict):
    hidden: Count = 2048
    output: Count = 128
