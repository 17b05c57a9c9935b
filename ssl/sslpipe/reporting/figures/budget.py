"""Accuracy against what a training costs, and the settings that no other beats at their cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sslpipe.reporting.figures.labels import Labels
from sslpipe.reporting.figures.layout import baseline_handles, legend, panels, say_only
from sslpipe.reporting.figures.style import (
    COLOURS,
    GREY,
    MARKERS,
    Style,
    baseline_style,
    look,
)
from sslpipe.reporting.figures.ticks import PERCENT, logarithmic
from sslpipe.reporting.leaderboard import speeds
from sslpipe.reporting.scored import Scored

COSTS = {
    "device_hours": "training time × devices (hours)",
    "images_seen": "images seen in training (images × epochs)",
}
ALL_NAMED = 8  # so many settings are all named; of more, those of the front


@dataclass(frozen=True)
class Point:
    setting: str
    method: str
    cost: float
    score: float


def budget_figure(scored: Scored) -> Figure:
    """Mean probe top-1 of each setting, a row for each kind of cost, a column for each data set.

    The steps are the Pareto front: the best score for at most that cost.
    """
    names = scored.datasets
    styles = {
        method: {"color": COLOURS[i % 10], "marker": MARKERS[i % len(MARKERS)]}
        for i, method in enumerate(scored.methods)
    }
    bases = scored.baselines
    drawn: set[str] = set()  # methods and baselines
    with look():
        figure, grid = panels(len(COSTS), len(names))
        for row, (cost, title) in zip(grid, COSTS.items(), strict=True):
            for panel, name in zip(row, names, strict=True):
                panel.set_title(name if cost == next(iter(COSTS)) else "")
                panel.set_xlabel(title)
                levels = {s.name: scored.mean(name, s, "probe_top1") for s in bases}
                some = points(scored, name, cost)
                if some:
                    _panel(panel, some, list(levels.values()), styles)
                    drawn |= {point.method for point in some}
                    drawn |= {base for base, level in levels.items() if level is not None}
                else:
                    say_only(panel, "no finished run has been scored")
            row[0].set_ylabel("linear probe top-1 (test, %)")
        legend(figure, _handles(styles, [setting.name for setting in bases], drawn))
    return figure


def points(scored: Scored, dataset: str, cost: str) -> list[Point]:
    """Of the trained settings that have both a score here and a cost above 0."""
    found = []
    for method, settings in scored.methods.items():
        for setting in settings:
            spent = speeds([scored.results.pretrain[run] for run in setting.runs])[cost]
            score = scored.mean(dataset, setting, "probe_top1")
            if spent and score is not None:
                found.append(Point(setting.name, method, spent, score))
    return found


def front(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Places of the Pareto front by rising cost: no other costs at most as much, scores at least as
    high, and differs. Of points that are equal the first."""
    found: list[int] = []
    for i in np.lexsort((-np.asarray(scores), np.asarray(costs))):
        if not found or scores[i] > scores[found[-1]]:
            found.append(int(i))
    return found


def _panel(
    panel: Axes, some: Sequence[Point], levels: Sequence[float | None], styles: dict[str, Style]
) -> None:
    for i, level in enumerate(levels):
        if level is not None:
            panel.axhline(level, **baseline_style(i), gid="baseline", zorder=1)
    for method, style in styles.items():
        chosen = [point for point in some if point.method == method]
        x, y = [p.cost for p in chosen], [p.score for p in chosen]
        panel.plot(x, y, linestyle="", markersize=7, markeredgecolor="white", gid=method, **style)
    costs, scores = [p.cost for p in some], [p.score for p in some]
    logarithmic(panel, costs)
    best = front(costs, scores)
    steps = [*(costs[i] for i in best), panel.get_xlim()[1]]
    heights = [scores[i] for i in best]
    panel.plot(
        steps, [*heights, heights[-1]],
        drawstyle="steps-post", color=GREY, linewidth=1.2, zorder=1.5, gid="front",
    )  # fmt: skip
    panel.yaxis.set_major_formatter(PERCENT)
    panel.margins(y=0.12)
    labels = Labels(panel, list(zip(costs, scores, strict=True)))
    for i in best if len(some) > ALL_NAMED else range(len(some)):
        labels.put(some[i].setting, (costs[i], scores[i]))


def _handles(styles: dict[str, Style], bases: Sequence[str], drawn: set[str]) -> list[Line2D]:
    handles = [
        Line2D([], [], linestyle="", markersize=7, label=method, **style)
        for method, style in styles.items()
        if method in drawn
    ]
    if handles:
        label = "best for at most that cost"
        handles.append(Line2D([], [], color=GREY, linewidth=1.2, label=label))
    return handles + baseline_handles(bases, drawn)
