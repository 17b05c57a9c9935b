"""Frozen features in the plane, before and after training."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sslpipe.reporting.figures.layout import cut, label_distances, panels, say_only, shown
from sslpipe.reporting.figures.style import COLOURS, look
from sslpipe.reporting.letters import drawable
from sslpipe.reporting.scored import Scored

NAMED = 20  # classes
LABEL = 24  # columns
DOT = 4.0  # points
SIZE = (4.0, 4.0)


def feature_map_figure(scored: Scored) -> Figure:
    """The map of test images (t-SNE) of the best trained setting (its first run), and below it
    that of an untrained encoder: a column for each data set, a colour for each class."""
    chosen = {name: scored.best(name, scored.trained) for name in scored.datasets}
    before = {name: scored.untrained(name, chosen[name]) for name in scored.datasets}
    rows = [("trained", chosen)]
    if any(before.values()):
        rows.append(("untrained", before))
    with look():
        figure, grid = panels(len(rows), len(scored.datasets), size=SIZE, gap=(0.4, 0.7))
        for row, (kind, settings) in zip(grid, rows, strict=True):
            for panel, name in zip(row, scored.datasets, strict=True):
                setting = settings[name]
                features = scored.results.features.get((name, setting.name)) if setting else None
                if setting is None or features is None:
                    say_only(panel, f"no {kind} encoder has been scored")
                    panel.set_title(name)
                    continue
                classes = features["classes"]
                many = f"\n{len(classes)} classes, not named" if len(classes) > NAMED else ""
                panel.set_title(f"{name}: {setting.name}{many}", fontsize=10.5)
                _draw(panel, features["map"], len(classes))
            row[0].set_ylabel(kind)
            label_distances(row[0], 0.1, 0.1, SIZE)
        for panel, name in zip(grid[-1], scored.datasets, strict=True):
            known = [
                scored.results.features.get((name, s.name))
                for s in (chosen[name], before[name])
                if s
            ]
            _legend(panel, drawable(tuple(next((f["classes"] for f in known if f), ())), name))
    return figure


def marks(classes: int) -> list[dict[str, Any]]:
    """A colour and marker for each class: ten colours in two shapes, or hues all around."""
    if classes <= NAMED:
        return [{"color": COLOURS[i % 10], "marker": "o^"[i // 10]} for i in range(classes)]
    return [
        {"color": colorsys.hls_to_rgb(i / classes, 0.5, 0.8), "marker": "o"} for i in range(classes)
    ]


def _draw(panel: Axes, places: Mapping[str, Sequence[float]], classes: int) -> None:
    x, y, labels = (np.asarray(places[key]) for key in ("x", "y", "label"))
    if not (np.ptp(x) > 0 or np.ptp(y) > 0):
        say_only(panel, "all features are the same")
        return
    styles = marks(classes)
    for marker in dict.fromkeys(mark["marker"] for mark in styles):
        some = np.array([styles[label]["marker"] == marker for label in labels])
        # As pixels in the svg too, where a thousand dots would take half a megabyte.
        panel.scatter(
            x[some], y[some], c=[styles[label]["color"] for label in labels[some]], marker=marker,
            s=DOT**2, linewidths=0, rasterized=True,
        )  # fmt: skip
    panel.set(xticks=[], yticks=[])
    panel.grid(False)
    panel.spines[:].set_visible(True)


def _legend(panel: Axes, classes: Sequence[str]) -> None:
    if not 0 < len(classes) <= NAMED:
        return
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            markersize=6,
            markeredgewidth=0,
            **mark,
            label=shown(cut(name, LABEL)),
        )
        for name, mark in zip(classes, marks(len(classes)), strict=True)
    ]
    panel.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0, -0.03), ncols=2, frameon=False,
        fontsize=8.5, borderaxespad=0, columnspacing=1, handletextpad=0.2,
    )  # fmt: skip
