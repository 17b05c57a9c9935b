"""What a packed set holds, for those who read it."""

from collections.abc import Sequence
from dataclasses import replace

from sslpipe.data.index import Index
from sslpipe.io.files import digest, read_sealed, sha256
from sslpipe.layout import Layout
from sslpipe.provenance.checks import require


def content_of_packed(layout: Layout, dataset: str, left_out: Sequence[int]) -> str:
    """Of the index, whose checksums stand for the images, and of the rows that are no examples."""
    of_index = sha256(layout.packed_index(dataset))
    return digest([of_index, list(left_out)]) if left_out else of_index


def without_copies(layout: Layout, dataset: str, index: Index) -> Index:
    """The index with the training rows that `subset` left out as examples, if the set wants it so."""
    made_by = f"sslpipe subset {dataset}"
    decided = read_sealed(require(layout.notes(dataset, "subset"), made_by), made_by)
    return replace(index, left_out=tuple(decided["left_out"]))
