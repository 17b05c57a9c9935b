"""The contrastive and regression losses, as pure functions of unit vectors in fp32.

Every loss is a mean over (global view, other view) pairs of the same image, so that the number of
local crops changes no loss scale.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def nt_xent(views: Tensor, temperature: float, *, global_views: int = 2) -> Tensor:
    """NT-Xent (SimCLR, Chen et al. 2020, equation 1), with local crops.

    views: (V, N, d) unit vectors, the first `global_views` of them global. Every view is an anchor
    for each *other global* view u of its image, with one positive at a time in the denominator:
    −log( e^{s(a,u)/τ} / (e^{s(a,u)/τ} + Σ e^{s(a,n)/τ}) ), n over the global views of other
    images. With two global views and no local one this is the paper's mean over 2N anchors.
    Returns the mean over all (anchor view, global view) pairs and images.
    """
    number, images, _ = views.shape
    targets = views[:global_views]
    similarity = torch.einsum("vid,ujd->vuij", views, targets) / temperature
    same_image = torch.eye(images, dtype=torch.bool, device=views.device)
    positive = similarity.diagonal(dim1=2, dim2=3)  # (V, U, N)
    negatives = similarity.masked_fill(same_image, -torch.inf).logsumexp(dim=(1, 3))  # (V, N)
    losses = torch.logaddexp(positive, negatives[:, None]) - positive
    pair = ~torch.eye(number, global_views, dtype=torch.bool, device=views.device)
    return (losses * pair[..., None]).sum() / (pair.sum() * images)


def info_nce(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """InfoNCE against a queue (MoCo, He et al. 2020, equation 1 and algorithm 1).

    queries: (V, N, d) unit vectors of V views; keys: (N, d), their positives; queue: (K, d),
    the negatives. Cross-entropy of [q·k⁺, q·queue] / τ with label 0, mean over V·N queries.
    """
    positive = torch.einsum("vnd,nd->vn", queries, keys)[..., None]
    logits = torch.cat([positive, queries @ queue.T], dim=-1).flatten(0, 1) / temperature
    labels = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    return F.cross_entropy(logits, labels)


def cosine_regression(predictions: Tensor, targets: Tensor) -> Tensor:
    """2 − 2·cos(p, z′) of unit vectors, mean over all rows (BYOL, Grill et al. 2020, equation 2).

    predictions, targets: (..., d). The targets carry no gradient.
    """
    return (2 - 2 * (predictions * targets.detach()).sum(-1)).mean()
