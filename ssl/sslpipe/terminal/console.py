"""Aligned tables and lines: coloured on a terminal, plain text in a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sslpipe.reporting import table as tables

PIPE_WIDTH = 1000
"""Columns where no terminal sets a limit: a row is a line, for grep and awk."""
GAP = 2
NARROWEST = 6
"""Of a folded column."""
BEST, FAINT, TITLE, WARNING = "bold green", "dim", "bold", "yellow"

Cell = str | Text


@dataclass(frozen=True)
class Column:
    """Cells below a heading. dropped: where a table is too wide, the columns with the highest
    numbers go first; None stays and is folded if need be."""

    heading: str
    cells: Sequence[Cell]
    right: bool = False
    dropped: int | None = None


def stdout() -> Console:
    """On the standard output as it is now. rich colours terminals only and heeds NO_COLOR and TERM."""
    unlimited = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(
        highlight=False, markup=False, emoji=False, width=PIPE_WIDTH if unlimited else None
    )


def print_table(console: Console, columns: Sequence[Column]) -> None:
    """As many of the columns as the console is wide for; the others are named below."""
    shown, hidden = list(columns), []
    while _width(console, shown) > console.width:
        droppable = [column for column in shown if column.dropped is not None]
        if not droppable:
            break
        hidden.append(max(droppable, key=lambda column: column.dropped or 0))
        shown.remove(hidden[-1])
    console.print(_table(shown))
    if hidden:
        names = ", ".join(column.heading for column in columns if column in hidden)
        console.print(Text(f"Too wide for this terminal: {names}", style=FAINT))


def columns_of(
    of: tables.Table, rows: Sequence[tables.Row], keys: Mapping[str, str], dropped: Sequence[str]
) -> list[Column]:
    """Some rows and columns of a table: the best stand out, what was not trained does not. keys: as
    `tables.pipes` has them; dropped: those that go where there is no room, the last first."""

    def styled(cell: tables.Cell, how: str, row: tables.Row) -> Text:
        style = BEST if cell.best else "" if row.kind == "trained" else FAINT
        return Text(cell.shown(how), style=style)

    return [
        Column(
            column.heading,
            [styled(row.cells[place], how, row) for row in rows],
            right=column.numeric,
            dropped=dropped.index(column.key) if column.key in dropped else None,
        )
        for place, column, how in of.pick(keys)
    ]


def print_side_by_side(console: Console, labels: Column, columns: Sequence[Column]) -> None:
    """As many of the columns as fit beside the labels, then the others in further tables."""
    left = list(columns)
    while left:
        fitting = next(
            (
                n
                for n in range(len(left), 1, -1)
                if _width(console, [labels, *left[:n]]) <= console.width
            ),
            1,
        )
        console.print(_table([labels, *left[:fitting]]))
        left = left[fitting:]
        if left:
            console.print()


def print_pairs(console: Console, pairs: Mapping[str, Cell]) -> None:
    """Labels and what they label, long texts folded beside their label."""
    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(style=FAINT, no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in pairs.items():
        table.add_row(" " * GAP + label, text)
    console.print(table)


def print_title(console: Console, text: str, more: str = "") -> None:
    """A line in bold after an empty one."""
    console.print()
    console.print(Text.assemble((text, TITLE), (f"  {more}" if more else "", FAINT)))


def _table(columns: Sequence[Column]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0),
        header_style=TITLE,
    )  # fmt: skip
    for column in columns:
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            no_wrap=column.right,
            overflow="fold",
            min_width=NARROWEST,
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    return table


def _width(console: Console, columns: Sequence[Column]) -> int:
    unlimited = console.options.update_width(PIPE_WIDTH)
    return console.measure(_table(columns), options=unlimited).maximum
