"""A study's figure: k-NN and linear probe along a setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from sslpipe.reporting.figures.layout import (
    PANEL,
    label_distances,
    legend,
    panels,
    say_only,
    wrapped,
)
from sslpipe.reporting.figures.style import COLOURS, GREY, Style, look
from sslpipe.reporting.figures.ticks import PERCENT, decimal_ticks, logarithmic, ticks_at
from sslpipe.reporting.studies import Json, Row

SCORES: dict[str, tuple[str, Style]] = {
    "knn_top1": ("k-NN", {"linestyle": "--", "marker": "o", "markerfacecolor": "white"}),
    "probe_top1": ("linear probe", {"linestyle": "-", "marker": "o"}),
}
SEED: Style = {"linestyle": "", "marker": "_", "markersize": 9, "markeredgewidth": 1.2}
JOINED: dict[bool, Style] = {
    False: {"linewidth": 1.6},
    True: {"linewidth": 0.6},
}  # categories: a line leads the eye only
APART = 3.0  # points between curves of the same place, so that their intervals can be seen
MOST_TICKS = 8
UPRIGHT = 42  # characters of categories that stand beside one another


def study_figure(study: Json) -> Figure:
    """A panel for each data set of a study (`studies.study_rows`): means over seeds and their
    intervals over test images, single seeds as small dots; a colour for each line of the study."""
    names = study["datasets"] or [""]
    colours = {line: COLOURS[i % 10] for i, line in enumerate(study["lines"])}
    with look():
        figure, (row,) = panels(1, len(names))
        for panel, name in zip(row, names, strict=True):
            panel.set_title(name)
            rows = [row for row in study["rows"] if name in row["scores"]]
            if not rows:
                say_only(panel, "no finished run of this study")
                continue
            for i, line in enumerate(study["lines"]):
                for j, score in enumerate(SCORES):
                    place = i * len(SCORES) + j - (len(study["lines"]) * len(SCORES) - 1) / 2
                    some = [row for row in rows if row["line"] == line]
                    joined = JOINED[study["scale"] == "category"]
                    _curve(panel, some, name, score, APART * place, color=colours[line], **joined)
            _horizontal(panel, study, rows)
            panel.set_ylim(*_limits(rows, name))
            panel.yaxis.set_major_formatter(PERCENT)
        row[0].set_ylabel("top-1 (test, %)")
        if study["datasets"]:
            legend(figure, _handles(study, colours))
    return figure


def _curve(
    panel: Axes,
    rows: Sequence[Row],
    dataset: str,
    score: str,
    aside: float,
    *,
    color: str,
    linewidth: float,
) -> None:
    """aside: points to the right of the true place."""
    if not rows:
        return
    shift = ScaledTranslation(aside / 72, 0, panel.figure.dpi_scale_trans)
    transform = panel.transData + shift
    found = [row["scores"][dataset][score] for row in rows]
    places = [row["place"] for row in rows]
    panel.vlines(
        places, [s["low"] for s in found], [s["high"] for s in found], colors=color,
        linewidth=1.3, alpha=0.7, transform=transform, gid=f"interval {score}",
    )  # fmt: skip
    panel.plot(
        places, [s["mean"] for s in found], color=color, linewidth=linewidth, markersize=5.5,
        transform=transform, gid=score, **SCORES[score][1],
    )  # fmt: skip
    seeds = [
        (place, value)
        for place, s in zip(places, found, strict=True)
        if len(s["values"]) > 1
        for value in s["values"]
    ]
    if seeds:
        panel.plot(
            *zip(*seeds, strict=True), color=color, **SEED, transform=transform, gid=f"seeds {score}",
        )  # fmt: skip


def _limits(rows: Sequence[Row], dataset: str) -> tuple[float, float]:
    """Around all that is drawn, which matplotlib does not find where it is shifted."""
    found = [row["scores"][dataset][score] for row in rows for score in SCORES]
    values = [value for s in found for value in (s["low"], s["high"], *s["values"])]
    margin = 0.06 * (max(values) - min(values)) or 0.05
    return min(values) - margin, max(values) + margin


def _horizontal(panel: Axes, study: Json, rows: Sequence[Row]) -> None:
    panel.set_xlabel(study["x_label"])
    places = sorted({row["place"] for row in rows})
    if study["scale"] == "category":
        labels = [wrapped(label) for label in study["categories"]]
        panel.set_xlim(-0.5, len(labels) - 0.5)
        panel.xaxis.set_major_locator(FixedLocator(range(len(labels))))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_xticklabels(labels)
        if sum(map(len, labels)) > UPRIGHT:
            longest = max(len(line) for label in labels for line in label.split("\n"))
            panel.tick_params(axis="x", labelrotation=90, labelsize=9)
            label_distances(panel, 0.42, 0.25 + 0.075 * longest, PANEL)
        return
    if study["scale"] == "log":
        logarithmic(panel, places, margin=1.7)
    elif study["scale"] == "symlog":
        smallest = min(place for place in places if place > 0)
        panel.set_xscale("symlog", linthresh=smallest, linscale=0.5)
        panel.set_xlim(min(places) - 0.3 * smallest, max(places) * 1.5)
    else:
        margin = 0.06 * (places[-1] - places[0]) or 0.5
        panel.set_xlim(places[0] - margin, places[-1] + margin)
    if len(places) <= MOST_TICKS:
        ticks_at(panel, places)
    elif study["scale"] == "symlog":
        ticks_at(panel, [0.0, *decimal_ticks(smallest, max(places))])


def _handles(study: Json, colours: Mapping[str, str]) -> list[Line2D]:
    several = len(study["lines"]) > 1
    handles = [
        Line2D([], [], color=colour, linewidth=1.8, label=line)
        for line, colour in colours.items()
        if several
    ]
    colour = GREY if several else COLOURS[0]
    handles += [
        Line2D([], [], color=colour, linewidth=1.6, markersize=5.5, label=name, **style)
        for name, style in SCORES.values()
    ]
    if any(len(row["runs"]) > 1 for row in study["rows"]):
        handles.append(Line2D([], [], color=colour, label="a single seed", **SEED))
    return handles
