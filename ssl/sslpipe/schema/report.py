"""The schema of what is compared after training: studies, claims, the report."""

from collections.abc import Collection, Iterator
from typing import Annotated

from pydantic import Field

from sslpipe.schema.types import Count, Fraction, Name, NonNegative, Positive, Seed, Strict

Setting = Annotated[str, Field(pattern=r"^[a-z_0-9]+(\.[a-z_0-9]+)*$")]
"""A key of a method, of `pretrain` or of a run; one below another as in `views.local`."""


class Study(Strict):
    """Runs that the report sets side by side, by one of their settings."""

    runs: list[Name]
    x: Setting | Annotated[list[Setting], Field(min_length=1)]
    """The setting on the horizontal axis; of several, each combination is a place on it."""
    title: str | None = None


# --- claims: the thresholds of each rule, of which docs/claims.md states the words ----------------

Share = Fraction
Place = Annotated[float, Field(gt=0, lt=1)]
"""A place within the epochs, as a share of them."""
Points = Annotated[float, Field(ge=0, le=100)]
"""Percentage points of accuracy."""
Measured = Annotated[int, Field(ge=3, le=10**9)]
"""Measurements that a curve must have to be looked at."""


class Saturation(Strict):
    """C1: accuracy rises early and is flat late."""

    min_epochs: Count = 50
    min_points: Measured = 4
    early: Place = 0.4
    """Share of the epochs in which accuracy should rise,"""
    late: Place = 0.5
    """and after which it should be flat."""
    rise: Share = 0.8
    """Share of the whole rise that falls into the early part."""
    flat: Points = 2.0
    """The most by which accuracy may still change, up or down."""


class Shapes(Strict):
    """C2: the curves of k-NN and online probe have the same shape."""

    min_points: Measured = 4
    """Epochs at which both were measured."""
    correlation: Share = 0.9


class Plateau(Strict):
    """C3: SimCLR's loss falls fast, then oscillates without a gain in accuracy."""

    min_epochs: Annotated[int, Field(ge=3, le=10**9)] = 10
    min_points: Measured = 4
    early: Place = 0.3
    fall: Share = 0.8
    """Share of the whole fall of the loss that falls into the early part."""
    oscillation: Share = 0.3
    """Of the later steps from epoch to epoch, the share that goes up."""
    flat: Points = 2.0
    """The most by which accuracy may still rise."""


class Stability(Strict):
    """C4 and C5: which method's loss is the least and the most stable."""

    min_epochs: Annotated[int, Field(ge=3, le=10**9)] = 10
    tail: Place = 0.5
    """The last share of the epochs, over which the loss's unrest is measured."""


class MoCoLoss(Stability):
    """C5: also how MoCo's loss falls: fast, then slowly."""

    early: Place = 0.3
    fall: Share = 0.6
    """Share of the whole fall of the loss that falls into the early part."""


class ByMethod(Strict):
    """C6: MoCo is at least as good as the others."""

    data_sets: list[Name] = []
    """Scored sets over which the mean is taken; empty is all of them."""
    margin: Points = 1.0
    """What still counts as equal."""
    min_seeds: Count = 2
    """Scored runs that each setting needs: intervals over images say nothing of other seeds."""


class Comparison(Strict):
    """C7 to C9: one kind of run scores higher than another."""

    data_sets: list[Name] = []
    min_effect: Points = 0.0
    """By more than this."""
    min_seeds: Count = 2
    """Scored runs that each setting needs: intervals over images say nothing of other seeds."""


class ByBackbone(Comparison):
    """C7: each of these better than the next."""

    order: Annotated[list[str], Field(min_length=2)] = ["resnet101", "wide_resnet50_2", "resnet50"]
    method: Name = "moco"


class ByCrops(Comparison):
    """C8: local crops."""

    min_effect: Points = 1.0


class ByCorpus(Comparison):
    """C9: more, and more diverse, pretraining images."""

    modest: dict[Name, Points] = {}
    """Data set → the most that adding it to a corpus should bring."""
    mainly: dict[Name, Annotated[list[Name], Field(min_length=1)]] = {}
    """Data set → the scored sets that should gain more by its being added than the others do."""


class GridGain(Strict):
    """C10: the grid of probes beats the default probe."""

    low: Points = 5.0
    high: Points = 15.0
    best_lr: Positive = 1e-2
    best_weight_decay: NonNegative = 0.0


class LossAlone(Strict):
    """C11: lower loss, worse features."""

    min_pairs: Count = 3
    """Pairs of settings whose accuracies can be told apart."""
    discordant: Share = 0.2
    """Share of them in which the setting with the lower loss scores lower."""


class Claims(Strict):
    C1: Saturation = Saturation()
    C2: Shapes = Shapes()
    C3: Plateau = Plateau()
    C4: Stability = Stability()
    C5: MoCoLoss = MoCoLoss()
    C6: ByMethod = ByMethod()
    C7: ByBackbone = ByBackbone()
    C8: ByCrops = ByCrops()
    C9: ByCorpus = ByCorpus()
    C10: GridGain = GridGain()
    C11: LossAlone = LossAlone()


def claims_disagreements(
    claims: Claims,
    *,
    scored: Collection[str],
    datasets: Collection[str],
    backbones: Collection[str],
    methods: Collection[str],
) -> Iterator[str]:
    """Mistakes of `claims` that no single key shows, each as `key.path: what is wrong`.

    scored: the data sets of the leaderboard; datasets: all of params.yaml.
    """
    for claim in ("C6", "C7", "C8", "C9"):
        chosen = getattr(claims, claim).data_sets
        yield from _not_among(f"claims.{claim}.data_sets", chosen, "scored data set", scored)
        if len(set(chosen)) < len(chosen):
            yield f"claims.{claim}.data_sets: the same data set is named twice"
    order = claims.C7.order
    yield from _not_among("claims.C7.order", order, "backbone", backbones)
    if len(set(order)) < len(order):
        yield "claims.C7.order: the same backbone is named twice"
    if claims.C7.method not in methods:
        yield f"claims.C7.method: no method {claims.C7.method!r}; there are: {', '.join(methods)}"
    for key in ("modest", "mainly"):
        for name in getattr(claims.C9, key):
            if name not in datasets:
                there = ", ".join(datasets)
                yield f"claims.C9.{key}.{name}: no data set {name!r}; there are: {there}"
    looked_at = claims.C9.data_sets or scored
    for name, sets in claims.C9.mainly.items():
        yield from _not_among(f"claims.C9.mainly.{name}", sets, "data set of C9", looked_at)
        if set(sets) >= set(looked_at):
            yield f"claims.C9.mainly.{name}: leave a data set that gains less; all are named"
    if claims.C10.low > claims.C10.high:
        yield f"claims.C10: low ({claims.C10.low:g}) is above high ({claims.C10.high:g})"


def _not_among(where: str, names: list[str], what: str, allowed: Collection[str]) -> Iterator[str]:
    for i, name in enumerate(names):
        if name not in allowed:
            yield f"{where}.{i}: no {what} {name!r}; there are: {', '.join(allowed)}"


class Report(Strict):
    """How sure the numbers are."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 2000
    """Bootstrap samples of the test images."""
    seed: Seed = 0
