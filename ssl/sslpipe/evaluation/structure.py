"""What features look like, beyond how well they classify: rank, alignment, uniformity, a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor
from torch.nn.functional import normalize

from sslpipe.evaluation.chosen import MOST_PAIRED, evenly

MAP_IMAGES = 1000
STRIPS = 8
STRIP_LENGTH = 8


def alignment(views: Tensor) -> float:
    """Mean squared distance of the unit features of two views of an image; 0 is perfectly aligned.

    views (2, N, D). Wang and Isola 2020, equation 1 with α = 2.
    """
    one, other = normalize(views.double(), dim=2)
    return float(((one - other) ** 2).sum(dim=1).mean())


def uniformity(features: Tensor) -> float:
    """log of the mean of exp(-2 · squared distance) over all pairs of unit features (N, D); the lower
    the more evenly they fill the sphere, 0 if they are all the same.

    Wang and Isola 2020, equation 2 with t = 2; of more than MOST_PAIRED rows, as many evenly taken.
    """
    unit = normalize(features[evenly(len(features), MOST_PAIRED)].double(), dim=1)
    return float(torch.nn.functional.pdist(unit).square().mul(-2).exp().mean().log())


def feature_map(features: Tensor, seed: int) -> np.ndarray:
    """A place in the plane (N, 2) for each of the features (N, D), near ones near: t-SNE
    (van der Maaten and Hinton 2008) of their unit vectors' first 50 principal components."""
    unit = normalize(features.double(), dim=1).numpy()
    components = min(50, *unit.shape)
    # Nothing to arrange, or rounding errors only, by which scikit-learn 1.9 divides and crashes.
    if len(unit) < 5 or components < 2 or unit.std(axis=0).max() < 1e-6:
        return np.zeros((len(unit), 2))
    reduced = PCA(components, svd_solver="full").fit_transform(unit)
    perplexity = min(30.0, (len(unit) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(
        reduced.astype(np.float32)
    )


def placed(rows: np.ndarray, labels: np.ndarray, places: np.ndarray) -> dict[str, Any]:
    """The map as JSON: rows (N,) of the packed set, their labels, coordinates to two decimals."""
    x, y = np.asarray(places, dtype=np.float64).round(2).T
    return {"row": rows.tolist(), "label": labels.tolist(), "x": x.tolist(), "y": y.tolist()}


def strip(
    row: int, label: int, nearest: np.ndarray, nearest_labels: np.ndarray, similarity: np.ndarray
) -> dict[str, Any]:
    """One image and its nearest training images, by row of the packed set, nearest first."""
    return {
        "row": int(row),
        "label": int(label),
        "nearest": nearest.tolist(),
        "nearest_label": nearest_labels.tolist(),
        "similarity": np.asarray(similarity, dtype=np.float64).round(4).tolist(),
    }
