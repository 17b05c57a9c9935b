"""Signs of collapse and divergence, read from a batch of embeddings."""

import math

from torch import Tensor

COLLAPSED_STD = 0.02
COLLAPSED_EPOCHS = 3


def feature_std(embedding: Tensor) -> float:
    """Mean over dimensions of the standard deviation over the batch of unit vectors (N, d).

    About 1/√d when the vectors fill the sphere, 0 when they have collapsed to a point
    (SimSiam, Chen & He 2021, section 4.1).
    """
    return embedding.std(dim=0).mean().item()


def collapsed(stds: list[float], dimension: int) -> bool:
    """Whether the last epochs' feature_std · √d all lie below COLLAPSED_STD (healthy: near 1)."""
    recent = stds[-COLLAPSED_EPOCHS:]
    threshold = COLLAPSED_STD / math.sqrt(dimension)
    return len(recent) == COLLAPSED_EPOCHS and all(std < threshold for std in recent)
