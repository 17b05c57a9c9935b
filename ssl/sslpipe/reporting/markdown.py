"""Tables and names in Markdown, whatever characters they hold."""

import re
from collections.abc import Iterable, Sequence

from tabulate import tabulate


def printable(text: str) -> str:
    """`text` in one line: a question mark in a box for each character that has no shape."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


Rows = list[list[int | str]]


def table(headers: Sequence[str], body: Sequence[Sequence[int | str]], align: str) -> str:
    """A pipe table. align: l or r for each column."""
    return tabulate(
        [[_cell(value) for value in row] for row in body],
        headers=headers,
        tablefmt="pipe",
        colalign=[{"l": "left", "r": "right"}[side] for side in align],
        disable_numparse=True,
    )


def _cell(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value.replace("|", r"\|")


def code(text: str) -> str:
    """Text from outside as a code span, in which nothing has a meaning but backticks."""
    text = printable(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
