"""The schema of how encoders are judged."""

from typing import Annotated, Literal

from pydantic import Field

from sslpipe.schema.types import Count, Name, NonNegative, Positive, Seed, Strict


class Knn(Strict):
    k: Count = 20
    temperature: Positive = 0.07
    also_k: list[Count] = [1, 5, 10, 20, 50, 100, 200]
    """Further numbers of neighbours, answered by the same search; those beyond the training images
    have no score."""


class DefaultProbe(Strict):
    """The study's probe without a grid: Adam on standardised features."""

    lr: Positive = 1e-3
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 10


class Probe(Strict):
    optimizer: Annotated[list[Literal["adam", "adamw", "sgd"]], Field(min_length=1)] = ["adam"]
    """The third axis of the grid."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 30
    batch_size: Count = 256
    lr: Annotated[list[Positive], Field(min_length=1)] = [1e-4, 1e-3, 1e-2, 1e-1]
    weight_decay: Annotated[list[NonNegative], Field(min_length=1)] = [0.0, 1e-4, 1e-3]
    default: DefaultProbe = DefaultProbe()


class FewLabels(Strict):
    """Probes that see the labels of a part of the training images, the same part for all runs."""

    fractions: list[Annotated[float, Field(gt=0, lt=1)]] = [0.01, 0.1]
    """Of each class, at least one image."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 100


class Evaluate(Strict):
    knn: Knn = Knn()
    probe: Probe = Probe()
    few_labels: FewLabels = FewLabels()
    seed: Seed = 0


class Finetune(Strict):
    """Training the whole network on the labels, from these runs' encoders: no frozen features."""

    runs: list[Name]
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 30
    batch_size: Annotated[int, Field(ge=2)] = 256
    lr: Annotated[list[Positive], Field(min_length=1)] = [1e-4, 1e-3]
    """Each is tried (AdamW, warm-up, cosine); the val split chooses."""
    weight_decay: NonNegative = 0.05
