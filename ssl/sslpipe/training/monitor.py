"""Signs of collapse and divergence, read from a batch of embeddings."""

import math

import torch
from torch import Tensor

COLLAPSED_STD = 0.02
COLLAPSED_EPOCHS = 3


def feature_std(embedding: Tensor) -> float:
    """Mean over dimensions of the standard deviation over the batch of unit vectors (N, d).

    About 1/√d when the vectors fill the sphere, 0 when they have collapsed to a point
    (SimSiam, Chen & He 2021, section 4.1).
    """
    return embedding.std(dim=0).mean().item()


def effective_rank(embedding: Tensor) -> float:
    """exp of the entropy of the normalised singular values (RankMe, Garrido et al. 2023): 1 to d."""
    singular = torch.linalg.svdvals(embedding.float().cpu())
    p = singular / singular.sum() + 1e-7
    return math.exp(-(p * p.log()).sum().item())


def collapsed(stds: list[float], dimension: int) -> bool:
    """Whether the last epochs' feature_std · √d all lie below COLLAPSED_STD (healthy: near 1)."""
    recent = stds[-COLLAPSED_EPOCHS:]
    threshold = COLLAPSED_STD / math.sqrt(dimension)
    return len(recent) == COLLAPSED_EPOCHS and all(std < threshold for std in recent)
