"""Checks of a stage's inputs, and what several stages read."""

from dataclasses import replace
from pathlib import Path

from sslpipe.data.index import Index
from sslpipe.errors import UserError
from sslpipe.files import read_sealed
from sslpipe.layout import Layout


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
