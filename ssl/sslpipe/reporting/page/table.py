"""What a table of the page is made of; template.html draws each in the same way.

A column with a `source` holds numbers that tell where they come from when they are clicked on: the
script finds the data set and run of the number on its row and group, its key on the column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Column:
    """source: a name in PROVENANCE of provenance.js, or none."""

    key: str
    heading: str
    meaning: str = ""
    numeric: bool = True
    source: str = ""
    shown: bool = True
    """False: hidden until it is asked for."""
    wide: bool = False
    """Long texts, which may take several lines."""


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    value: float | None = None
    """What a column of numbers is sorted by."""
    note: str = ""
    badge: str = ""
    href: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    cells: Sequence[Cell]
    run: str = ""
    kind: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What filters look at."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are sorted among themselves. rival: what its differences are measured from."""

    rows: Sequence[Row]
    title: str = ""
    note: str = ""
    dataset: str = ""
    rival: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """id: of the HTML element. The first column names the row."""

    id: str
    caption: str
    columns: Sequence[Column]
    groups: Sequence[Group]
    order: str = ""
    """Key of the column that rows are sorted by, lowest first."""

    def __bool__(self) -> bool:
        return any(group.rows for group in self.groups)
