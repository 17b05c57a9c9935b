"""k-NN over the number of neighbours."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sslpipe.reporting.figures.layout import (
    baseline_handles,
    legend,
    panels,
    say_only,
    setting_handles,
)
from sslpipe.reporting.figures.style import GREY, Style, baseline_style, look, styles_of
from sslpipe.reporting.figures.ticks import PERCENT, decimal_ticks, ticks_at
from sslpipe.reporting.scored import Scored
from sslpipe.reporting.settings import Setting

STUDIED: Style = {"color": GREY, "linewidth": 1.0, "linestyle": "-", "alpha": 0.6}


def knn_k_figure(scored: Scored) -> Figure:
    """k-NN top-1 on the test images over k, a panel for each data set, a line for each setting (its
    mean over seeds). The k of all other tables and figures is marked."""
    groups, bases = scored.trained, scored.baselines
    styles = styles_of(groups)
    studied = scored.results.params.evaluate.knn.k
    drawn: set[str] = set()
    with look():
        figure, (row,) = panels(1, len(scored.datasets))
        for panel, name in zip(row, scored.datasets, strict=True):
            panel.set_title(name)
            panel.set_xlabel("number of neighbours k")
            for setting in groups:
                curve = over_k(scored, name, setting)
                if curve:
                    style = styles[setting.name]
                    panel.plot(*_sides(curve), linewidth=1.8, markersize=4, **style)
                    drawn |= set(setting.runs)
            for i, setting in enumerate(bases):
                curve = over_k(scored, name, setting)
                if curve:
                    panel.plot(*_sides(curve), **baseline_style(i), gid="baseline")
                    drawn |= set(setting.runs)
            _finish(panel, used(scored, name))
        row[0].set_ylabel("k-NN top-1 (test, %)")
        handles = setting_handles(groups, drawn, styles)
        handles += baseline_handles([setting.name for setting in bases], drawn)
        if drawn:
            fewer = any(used(scored, name) < studied for name in scored.datasets)
            label = f"k = {studied}{', or all' if fewer else ''}, used elsewhere"
            handles.append(Line2D([], [], **STUDIED, label=label))
        legend(figure, handles)
    return figure


def used(scored: Scored, dataset: str) -> int:
    """The k of all other tables and figures: the one asked for, or all training images if they are fewer."""
    cells = (cell for (name, _), cell in scored.results.metrics.items() if name == dataset)
    asked = scored.results.params.evaluate.knn.k
    return next((cell["knn_k"] for cell in cells if "knn_k" in cell), asked)


def over_k(scored: Scored, dataset: str, setting: Setting) -> dict[int, float]:
    """k → mean top-1, of the numbers of neighbours that were asked for and could be answered."""
    knn = scored.results.params.evaluate.knn
    keys = {k: f"knn_{k}_top1" for k in knn.also_k} | {used(scored, dataset): "knn_top1"}
    values = {k: scored.mean(dataset, setting, keys[k]) for k in sorted(keys)}
    return {k: value for k, value in values.items() if value is not None}


def _sides(curve: dict[int, float]) -> tuple[list[int], list[float]]:
    return list(curve), list(curve.values())


def _finish(panel: Axes, studied: int) -> None:
    if not panel.lines:
        say_only(panel, "no finished run has been scored")
        return
    known = [x for line in panel.lines for x in np.asarray(line.get_xdata()).tolist()]
    low, high = min([studied, *known]) / 1.2, max([studied, *known]) * 1.2
    panel.axvline(studied, **STUDIED, zorder=1, gid="studied")
    panel.set_xscale("log")
    panel.set_xlim(low, high)
    ticks_at(panel, decimal_ticks(low, high, most=9))
    panel.yaxis.set_major_formatter(PERCENT)
