"""Checks of a stage's inputs, and what several stages read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sslpipe.data.index import Index, open_packed
from sslpipe.errors import UserError
from sslpipe.io.files import digest, read_sealed, sha256
from sslpipe.layout import Layout
from sslpipe.params import load, settings_file
from sslpipe.provenance.code import code_hash
from sslpipe.provenance.record import Artefact, Record, differences
from sslpipe.provenance.whose import Whose

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


def require(path: Path, made_by: str) -> Path:
    """`path` if it exists. Raises UserError naming the command that makes it."""
    if not path.exists():
        raise UserError(f"{path}: missing; it is made by: {made_by}")
    return path


def require_same(path: Path, content: str, whose: Whose, artefact: Artefact) -> None:
    """Raises UserError when a file does not hold what the report of it says."""
    if content != whose.content(artefact):
        raise UserError(
            f"{path}: not the one that its report is of (of another branch or experiment?); "
            f"run: dvc checkout, or {artefact.made_by}"
        )


def require_unchanged(
    artefact: Artefact, made_of: Record, layout: Layout, kept: str = "run it again"
) -> None:
    """Raises UserError when what an artefact was made of is no longer what params.yaml asks for: DVC
    records settings when a command ends, and would take the new ones for those that it began with.

    kept: what is left of the work."""
    code_hash.cache_clear()
    try:
        now = Whose(load(settings_file()), layout).new(artefact)
    except UserError as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{artefact}: cannot be finished, {kept}: {first}") from None
    if now["identity"] != made_of["identity"]:
        other = " and ".join(differences(made_of, now)) or "inputs"
        raise UserError(
            f"{artefact}: changed while it was made: {other}; nothing is recorded, {kept}"
        )


def open_set(whose: Whose, dataset: str) -> tuple[np.ndarray, Index]:
    """A packed set's images, mapped, uint8 (N, S, S, 3), and its index, without the copies left out.

    Raises UserError when it is missing, damaged, or not what params.yaml asks for."""
    artefact = Artefact("packed", dataset)
    whose.require(artefact)
    images, index = open_packed(whose.layout, dataset)
    index = without_copies(whose.layout, dataset, index)
    content = content_of_packed(whose.layout, dataset, index.left_out)
    require_same(whose.layout.packed_index(dataset), content, whose, artefact)
    return images, index


def open_encoder(whose: Whose, run: str) -> nn.Module:
    """A run's encoder. Raises UserError when it is missing, damaged, or not what params.yaml asks for."""
    from sslpipe.networks.encoder_file import load_encoder  # which imports torch

    artefact, path = Artefact("encoder", run), whose.layout.encoder(run)
    whose.require(artefact)
    encoder = load_encoder(require(path, artefact.made_by))
    require_same(path, encoder.content, whose, artefact)
    return encoder


def content_of_packed(layout: Layout, dataset: str, left_out: Sequence[int]) -> str:
    """Of the index, whose checksums stand for the images, and of the rows that are no examples."""
    of_index = sha256(layout.packed_index(dataset))
    return digest([of_index, list(left_out)]) if left_out else of_index


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
