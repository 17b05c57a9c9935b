"""The schema of what is compared after training: fine-tuning, studies, claims, the report."""

from typing import Annotated

from pydantic import Field

from sslpipe.schema_types import Count, Fraction, Name, NonNegative, Positive, Seed, Strict

Setting = Annotated[str, Field(pattern=r"^[a-z_0-9]+(\.[a-z_0-9]+)*$")]
"""A key of a method, of `pretrain` or of a run; one below another as in `views.local`."""


class Finetune(Strict):
    """Training the whole network on the labels, from these runs' encoders: no frozen features."""

    runs: list[Name]
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 30
    batch_size: Annotated[int, Field(ge=2)] = 256
    lr: Annotated[list[Positive], Field(min_length=1)] = [1e-4, 1e-3]
    """Each is tried (AdamW, warm-up, cosine); the val split chooses."""
    weight_decay: NonNegative = 0.05


class Study(Strict):
    """Runs that the report sets side by side, by one of their settings."""

    runs: list[Name]
    x: Setting | Annotated[list[Setting], Field(min_length=1)]
    """The setting on the horizontal axis; of several, each combination is a place on it."""
    title: str | None = None


# --- claims: the thresholds of each rule, of which docs/claims.md states the words ----------------

Share = Fraction
Points = Annotated[float, Field(ge=0, le=100)]
"""Percentage points of accuracy."""


class Saturation(Strict):
    """C1: accuracy rises early and is flat late."""

    min_epochs: Count = 50
    early: Share = 0.4
    """Share of the training in which it should rise,"""
    late: Share = 0.5
    """and after which it should be flat."""
    rise: Share = 0.8
    """Share of the whole rise that falls into the early part."""
    flat: Points = 2.0


class Shapes(Strict):
    """C2: the curves of k-NN and online probe have the same shape."""

    min_points: Annotated[int, Field(ge=3)] = 4
    correlation: Share = 0.9


class Plateau(Strict):
    """C3: SimCLR's loss falls fast, then oscillates without a gain in accuracy."""

    min_epochs: Count = 10
    early: Share = 0.3
    fall: Share = 0.8
    """Share of the whole fall of the loss that falls into the early part."""
    oscillation: Share = 0.3
    """Of the later steps from epoch to epoch, the share that goes up."""
    flat: Points = 2.0


class Stability(Strict):
    """C4 and C5: which method's loss is the least and the most stable."""

    min_epochs: Count = 10
    tail: Share = 0.5
    """The last share of the epochs, over which the loss's unrest is measured."""


class MoCoLoss(Stability):
    """C5: also how MoCo's loss falls: fast, then slowly."""

    early: Share = 0.3
    fall: Share = 0.6


class Comparison(Strict):
    """C6 to C9: one kind of run against another. data_sets: where; empty is wherever scored."""

    data_sets: list[Name] = []
    min_effect: Points = 0.0


class ByBackbone(Comparison):
    """C7: each of these better than the next."""

    order: Annotated[list[str], Field(min_length=2)] = ["resnet101", "wide_resnet50_2", "resnet50"]
    method: Name = "moco"


class ByCrops(Comparison):
    """C8: local crops."""

    min_effect: Points = 1.0


class GridGain(Strict):
    """C10: the grid of probes beats the default probe."""

    low: Points = 5.0
    high: Points = 15.0
    best_lr: Positive = 1e-2
    best_weight_decay: NonNegative = 0.0


class LossAlone(Strict):
    """C11: lower loss, worse features."""

    min_pairs: Count = 3
    discordant: Share = 0.2
    """Share of pairs of a method's runs in which the one with the lower loss scores lower."""


class Claims(Strict):
    C1: Saturation = Saturation()
    C2: Shapes = Shapes()
    C3: Plateau = Plateau()
    C4: Stability = Stability()
    C5: MoCoLoss = MoCoLoss()
    C6: Comparison = Comparison()
    C7: ByBackbone = ByBackbone()
    C8: ByCrops = ByCrops()
    C9: Comparison = Comparison()
    C10: GridGain = GridGain()
    C11: LossAlone = LossAlone()


class Report(Strict):
    """How sure the numbers are."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 2000
    """Bootstrap samples of the test images."""
    seed: Seed = 0
