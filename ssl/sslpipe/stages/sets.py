"""Packed sets, as stages read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sslpipe.data.index import Index, open_packed
from sslpipe.io.files import digest, read_sealed, sha256
from sslpipe.layout import Layout
from sslpipe.provenance.checks import require, require_same
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import Whose

if TYPE_CHECKING:
    import numpy as np


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


def content_of_packed(layout: Layout, dataset: str, left_out: Sequence[int]) -> str:
    """Of the index, whose checksums stand for the images, and of the rows that are no examples."""
    of_index = sha256(layout.packed_index(dataset))
    return digest([of_index, list(left_out)]) if left_out else of_index


def without_copies(layout: Layout, dataset: str, index: Index) -> Index:
    """The index with the training rows that `subset` left out as examples, if the set wants it so."""
    made_by = f"sslpipe subset {dataset}"
    decided = read_sealed(require(layout.notes(dataset, "subset"), made_by), made_by)
    return replace(index, left_out=tuple(decided["left_out"]))
