"""How many dimensions features use."""

import torch
from torch import Tensor


def effective_rank(features: Tensor) -> float:
    """exp of the entropy of the normalised singular values of (N, D): 1 to min(N, D).

    RankMe (Garrido et al. 2023), without the ε that it adds to each share. The singular values come
    from the smaller of the two Gram matrices, in float64; those that are rounding errors count as 0.
    """
    x = features.cpu().double()
    gram = x.T @ x if x.shape[0] >= x.shape[1] else x @ x.T
    squares = torch.linalg.eigvalsh(gram)
    singular = squares.clamp_min(0).sqrt()
    singular = singular[singular > 1e-7 * singular.max()]
    if len(singular) == 0:  # all features are zero
        return 0.0
    share = singular / singular.sum()
    return float((-(share * share.log()).sum()).exp())
