"""What figures are put together from: panels, a legend, words."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from sslpipe.reporting.figures.style import GREY, Style, baseline_style
from sslpipe.reporting.settings import Setting

PANEL = (4.0, 2.9)  # inches, the axes alone; so are the following
GAP = (0.75, 0.8)  # between columns, between rows
NAMES = (0.42, 0.32)  # of the vertical and the horizontal axis, from the panel
LEGEND_WIDTH = 3.1  # a column
LEGEND_LINE = 30  # characters
LEGEND_LINES = 11  # beside a row of panels; longer legends stand below them


def panels(
    rows: int,
    columns: int,
    *,
    size: tuple[float, float] = PANEL,
    gap: tuple[float, float] = GAP,
    **options: Any,
) -> tuple[Figure, np.ndarray]:
    """A figure and its panels (rows, columns), sizes in inches; options: of `Figure.subplots`.

    The panels fill the figure to its edges: labels and legends stand outside of it, where `save`
    finds them. So no layout has to be solved for, which takes seconds for a dozen panels; nor have
    the axes' names, which stand at a fixed distance.
    """
    width = columns * size[0] + (columns - 1) * gap[0]
    height = rows * size[1] + (rows - 1) * gap[1]
    figure = Figure(figsize=(width, height))
    grid = {
        "left": 0, "right": 1, "bottom": 0, "top": 1,
        "wspace": gap[0] / size[0], "hspace": gap[1] / size[1],
    }  # fmt: skip
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=grid, **options)
    for panel in axes.flat:
        panel.tick_params(labelbottom=True)  # also where the panel below shares its axis
        panel.spines[["top", "right"]].set_visible(False)
        label_distances(panel, *NAMES, size)
    return figure, axes


def label_distances(panel: Axes, left: float, below: float, size: tuple[float, float]) -> None:
    """Place the names of a panel's axes, in inches from its edges."""
    panel.yaxis.set_label_coords(-left / size[0], 0.5)
    panel.xaxis.set_label_coords(0.5, -below / size[1])


def legend(figure: Figure, handles: Sequence[Line2D], **options: Any) -> Legend | None:
    """One legend of the whole figure: right of all panels, or below them where it is long."""
    if not handles:
        return None
    for handle in handles:
        handle.set_label(shown(wrapped(str(handle.get_label()))))
    width, height = figure.get_size_inches()
    grid = figure.axes[0].get_gridspec()
    assert grid is not None, "see `panels`"
    rows = grid.nrows
    if len(handles) <= LEGEND_LINES * rows:
        place = {"bbox_to_anchor": (1 + 0.2 / width, 1), "ncols": 1}
    else:
        columns = max(1, math.floor(width / LEGEND_WIDTH))
        place = {"bbox_to_anchor": (0, -0.75 / height), "ncols": columns}
    return figure.legend(
        handles=handles, loc="upper left", frameon=False, borderaxespad=0, **place, **options
    )


def shown(label: str) -> str:
    """matplotlib leaves labels that start with an underscore out of legends: here behind a space of no
    width."""
    return f"\u200b{label}" if label.startswith("_") else label


def setting_handles(
    groups: Sequence[Setting], drawn: Collection[str], styles: Mapping[str, Style]
) -> list[Line2D]:
    """Of each setting of which a run was drawn; it is called by its name and number of runs."""
    handles = []
    for setting in groups:
        runs = [run for run in setting.runs if run in drawn]
        if runs:
            style = {**styles[runs[0]], "marker": None}
            handles.append(Line2D([], [], linewidth=1.8, label=called(setting, runs), **style))
    return handles


def called(setting: Setting, runs: Sequence[str]) -> str:
    """The setting's name, with the number of its runs where these are several."""
    return setting.name if len(runs) == 1 else f"{setting.name} ({len(runs)} seeds)"


def baseline_handles(names: Sequence[str], drawn: Collection[str]) -> list[Line2D]:
    """Of those that were drawn; a baseline's style goes by its place among all `names`."""
    return [
        Line2D([], [], **baseline_style(i), label=name)
        for i, name in enumerate(names)
        if name in drawn
    ]


def say(panel: Axes, text: str) -> None:
    """Words instead of what is missing."""
    panel.text(0.5, 0.5, text, transform=panel.transAxes, ha="center", va="center", color=GREY)


def say_only(panel: Axes, text: str) -> None:
    """The same in a panel that has nothing else: no numbers that mean nothing."""
    say(panel, text)
    panel.set(xticks=[], yticks=[])
    panel.grid(False)


def wrapped(label: str) -> str:
    return "\n".join(textwrap.wrap(label.replace("_", "_ "), LEGEND_LINE)).replace("_ ", "_")


def cut(label: str, most: int) -> str:
    """As much of it as is at most so many `columns` wide."""
    if columns(label) <= most:
        return label
    while columns(label) >= most:
        label = label[:-1]
    return f"{label}…"


def columns(text: str) -> int:
    """Its width as on a terminal: a character of East Asia takes two columns."""
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)
