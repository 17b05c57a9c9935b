"""The contrastive and regression losses, as pure functions of unit vectors in fp32.

Every loss is a mean over (global view, other view) pairs of the same image, so that the number of
local crops changes no loss scale.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def nt_xent(
    views: Tensor, temperature: float, *, targets: Tensor | None = None, first: int = 0
) -> Tensor:
    """NT-Xent (SimCLR, Chen et al. 2020, equation 1), with local crops.

    views: (V, N, d) unit vectors, the two global views first. Every view is an anchor for each
    *other global* view u of its image, with one positive at a time in the denominator:
    −log( e^{s(a,u)/τ} / (e^{s(a,u)/τ} + Σ e^{s(a,n)/τ}) ), n over the global views of other
    images. With two global views and no local one this is the paper's mean over 2N anchors.
    targets: (2, M, d), the global views of all ranks, by default those of `views`; the anchors'
    images are its rows `first` to `first` + N.
    Returns the mean over all (anchor view, other global view) pairs and images.
    """
    targets = views[:2] if targets is None else targets
    number, images, _ = views.shape
    own = torch.arange(first, first + images, device=views.device)
    similarity = torch.einsum("vid,ujd->vuij", views, targets) / temperature
    same_image = own[:, None] == torch.arange(targets.shape[1], device=views.device)
    positive = similarity[..., first : first + images].diagonal(dim1=2, dim2=3)  # (V, 2, N)
    negatives = similarity.masked_fill(same_image, -torch.inf).logsumexp(dim=(1, 3))  # (V, N)
    losses = torch.logaddexp(positive, negatives[:, None]) - positive
    pair = ~torch.eye(number, 2, dtype=torch.bool, device=views.device)
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
