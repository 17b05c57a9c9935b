"""A table as data. `pipes` writes it in Markdown, page/macros.html on the page (with all that it holds),
terminal/console.py on a terminal.

On the page, a column with a `source` holds numbers that tell where they come from when they are clicked
on: the script finds the data set and run of the number on its row and group, its key on the column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sslpipe.reporting.markdown import table
from sslpipe.reporting.words import DASH

TEXT, NOTE, BOTH = "{text}", "{note}", "{text} ({note})"
"""What of a cell is shown."""


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
    """What stands beside it in small letters, or in brackets."""
    badge: str = ""
    href: str = ""
    best: bool = False

    def shown(self, how: str) -> str:
        """how: TEXT, NOTE or BOTH."""
        if self.note:
            return how.format(text=self.text, note=self.note)
        return DASH if how == NOTE else self.text


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

    def pick(self, keys: Mapping[str, str]) -> list[tuple[int, Column, str]]:
        """The columns that there are of these keys, in their order: place, column, what to show."""
        places = {column.key: place for place, column in enumerate(self.columns)}
        known = {places[key]: how for key, how in keys.items() if key in places}
        return [(place, self.columns[place], how) for place, how in known.items()]


def pipes(of: Table, rows: Sequence[Row], keys: Mapping[str, str]) -> str:
    """Some rows and columns in Markdown, the best in bold. keys: key → TEXT, NOTE or BOTH."""
    chosen = of.pick(keys)

    def cells(row: Row) -> Iterator[str]:
        for place, column, how in chosen:
            cell = row.cells[place]
            text = cell.shown(how)
            if column.key == "run" and row.run:
                text = f"`{text}`"
            yield f"**{text}**" if cell.best and how != NOTE else text

    align = "".join("r" if column.numeric else "l" for _, column, _ in chosen)
    return table(
        [column.heading for _, column, _ in chosen], [[*cells(row)] for row in rows], align
    )
