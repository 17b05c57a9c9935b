"""Validation accuracy and loss over pretraining.

Functions of training histories. A history has one row for each epoch with the columns epoch, loss,
resumed (1 in the first row after a restart) and, for each data set, knn_<dataset> and
probe_<dataset> (fractions, blank when they were not due). That of an untrained encoder has a single
row, epoch 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sslpipe.reporting.figures.layout import (
    PANEL,
    baseline_handles,
    label_distances,
    legend,
    panels,
    say,
    setting_handles,
)
from sslpipe.reporting.figures.style import GREY, Style, baseline_style, look, styles_of
from sslpipe.reporting.figures.ticks import PERCENT
from sslpipe.reporting.settings import Setting

Histories = Mapping[str, pd.DataFrame]

ONLINE = {"knn": "k-NN", "probe": "linear probe"}
RESUMED = "resumed from a checkpoint"
MOST_MARKED = 30  # points of a curve that get a marker each
DIAMOND: Style = {
    "linestyle": "", "marker": "D", "markersize": 7.5, "markerfacecolor": "white",
    "markeredgewidth": 1.8,
}  # fmt: skip


def accuracy_figure(
    histories: Histories,
    groups: Sequence[Setting],
    datasets: Sequence[str],
    untrained: Histories | None = None,
) -> Figure:
    """Figure 1: validation accuracy over pretraining, a column of panels for each data set.

    The upper row is k-NN, the lower the online linear probe. groups: all trained settings, whose
    runs share a colour. `untrained` draws horizontal lines, from the histories of encoders without
    training: measured as the curves are, so comparable.
    """
    names = list(datasets) or [""]
    styles = styles_of(groups)
    columns = [f"{kind}_{name}" for kind in ONLINE for name in names]
    levels = {run: _levels(table, columns) for run, table in (untrained or {}).items()}
    levels = {run: values for run, values in levels.items() if values}
    with look():
        figure, grid = panels(len(ONLINE), len(names), sharex=True)
        for row, (kind, title) in zip(grid, ONLINE.items(), strict=True):
            for panel, name in zip(row, names, strict=True):
                if not _curves(panel, histories, f"{kind}_{name}", styles):
                    say(panel, _why_empty(histories, name))
                for i, values in enumerate(levels.values()):
                    level = values.get(f"{kind}_{name}")
                    if level is not None:
                        panel.axhline(level, **baseline_style(i), gid="baseline")
                panel.yaxis.set_major_formatter(PERCENT)
                _finish(panel)
            row[0].set_ylabel(f"{title} top-1\n(validation, %)")
        for panel, name in zip(grid[0], names, strict=True):
            panel.set_title(name)
        for panel in grid[-1]:
            panel.set_xlabel("pretraining epoch")
        handles = setting_handles(groups, histories, styles)
        handles += baseline_handles(list(levels), levels) + _mark_handles(histories)
        legend(figure, handles)
    return figure


def loss_figure(
    histories: Histories, groups: Sequence[Setting], methods: Mapping[str, str]
) -> Figure:
    """Training loss over epochs; a panel for each method, since their losses do not compare.

    methods: run → its method.
    """
    names = list(dict.fromkeys(methods[run] for run in histories)) or [""]
    styles = styles_of(groups)
    with look():
        figure, (row,) = panels(1, len(names), sharex=True)
        for panel, name in zip(row, names, strict=True):
            chosen = {run: table for run, table in histories.items() if methods[run] == name}
            if not _curves(panel, chosen, "loss", styles, markers=False):
                say(panel, "no finished run" if not chosen else "no loss was logged")
            panel.set_title(name)
            panel.set_xlabel("pretraining epoch")
            _finish(panel)
        row[0].set_ylabel("training loss")
        label_distances(row[0], 0.55, 0.32, PANEL)  # numbers like 0.125 take more room
        handles = setting_handles(groups, histories, styles) + _mark_handles(histories)
        legend(figure, handles)
    return figure


def _levels(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, float]:
    """column → its value in an untrained encoder's history, of those that were measured."""
    values = {column: table[column].dropna() for column in columns if column in table}
    return {column: float(value.iloc[-1]) for column, value in values.items() if len(value)}


def _curves(
    panel: Axes,
    histories: Histories,
    column: str,
    styles: Mapping[str, Style],
    markers: bool = True,
) -> bool:
    """One line for each run that has this column; says whether there was any."""
    drawn = False
    for run, table in histories.items():
        if column not in table:
            continue
        epochs, values = (table[key].to_numpy(dtype=np.float64) for key in ("epoch", column))
        known = ~np.isnan(values)
        if not known.any():
            continue
        curve = epochs[known], values[known]
        shown = dict(styles[run])
        if not markers or len(curve[0]) > MOST_MARKED:
            shown["marker"] = None
        panel.plot(*curve, linewidth=1.8, markersize=5, markeredgewidth=0, **shown)
        _mark_resumed(panel, table, curve, shown["color"])
        drawn = True
    return drawn


def _mark_resumed(
    panel: Axes, table: pd.DataFrame, curve: tuple[np.ndarray, np.ndarray], colour: str
) -> None:
    """Hollow diamonds where the run restarted, on its line: it need not have a point there."""
    epochs = _resumed(table)
    if len(epochs):
        height = np.interp(epochs, *curve)
        panel.plot(epochs, height, **DIAMOND, markeredgecolor=colour, zorder=5, gid="resumed")


def _resumed(table: pd.DataFrame) -> np.ndarray:
    """The epochs after a restart."""
    if "resumed" not in table:
        return np.empty(0)
    return table["epoch"].to_numpy(np.float64)[table["resumed"].to_numpy(np.float64) > 0]


def _why_empty(histories: Histories, dataset: str) -> str:
    if not dataset:
        return "no data set"
    return "no online evaluation" if histories else "no finished run"


def _finish(panel: Axes) -> None:
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, steps=[1, 2, 5, 10]))
    if not panel.lines:  # only words: no numbers that mean nothing
        panel.set_yticks([])
        panel.grid(False)


def _mark_handles(histories: Histories) -> list[Line2D]:
    if any(len(_resumed(table)) for table in histories.values()):
        return [Line2D([], [], **DIAMOND, markeredgecolor=GREY, label=RESUMED)]
    return []
