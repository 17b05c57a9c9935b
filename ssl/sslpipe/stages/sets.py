"""Packed sets, as stages read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslpipe.data.index import Index, open_packed
from sslpipe.provenance.checks import require_same
from sslpipe.provenance.packed import content_of_packed, without_copies
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
