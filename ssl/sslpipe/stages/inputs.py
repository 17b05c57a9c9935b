"""Checks of a stage's inputs, and what several stages read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sslpipe.data.index import Index
from sslpipe.errors import UserError
from sslpipe.files import read_sealed
from sslpipe.layout import Layout

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


def require(path: Path, made_by: str) -> Path:
    """`path` if it exists. Raises UserError naming the command that makes it."""
    if not path.exists():
        raise UserError(f"{path}: missing; it is made by: {made_by}")
    return path


def without_copies(layout: Layout, dataset: str, index: Index) -> Index:
    """The index with the training rows that `subset` left out as examples, if the set wants it so."""
    made_by = f"sslpipe subset {dataset}"
    decided = read_sealed(require(layout.notes(dataset, "subset"), made_by), made_by)
    return replace(index, left_out=tuple(decided["left_out"]))


def require_size(
    run: str, encoder: nn.Module, dataset: str, images: np.ndarray, wanted: int
) -> None:
    """Raises UserError for packed images, (N, S, S, 3), of another side than those it was trained on,
    naming the command for whichever is not of `wanted` pixels, params.yaml's `image_size`."""
    if (side := images.shape[1]) != encoder.image_size:
        makers = {f"sslpipe subset {dataset}": side, f"sslpipe pretrain {run}": encoder.image_size}
        again = " and ".join(maker for maker, made in makers.items() if made != wanted)
        raise UserError(
            f"{run}: trained on images of {encoder.image_size} px, but {dataset} is packed with {side} px; "
            f"run snakemake or dvc repro, or: {again}"
        )
