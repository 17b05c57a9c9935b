"""The figures: validation accuracy and loss over pretraining, as matplotlib figures.

Pure functions of training histories. A history has one row for each epoch with the columns epoch,
loss, resumed (1 in the first row after a restart) and, for each data set, knn_<dataset> and
probe_<dataset> (fractions, blank when they were not due). That of an untrained encoder has a single
row, epoch 0.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

Histories = Mapping[str, pd.DataFrame]

ONLINE = {"knn": "k-NN", "probe": "linear probe"}
DOTS = [(0, (1, 1.5)), (0, (3, 1.5, 1, 1.5)), (0, (5, 2)), (0, (1, 4))]
DASHES = ["-", "--", "-.", ":"]
RESUMED = "resumed from a checkpoint"
DIAMOND = {
    "linestyle": "", "marker": "D", "markersize": 7.5, "markerfacecolor": "white",
    "markeredgewidth": 1.8,
}  # fmt: skip
PERCENT = FuncFormatter(lambda fraction, _: f"{100 * fraction:g}")
GREY = "0.35"
BASELINE = {"color": GREY, "linewidth": 1.4}
PANEL = (4.0, 2.9)  # inches
LEGEND_WIDTH = 2.7  # inches a column
LEGEND_LINE = 26  # characters
LEGEND_LINES = 11  # a row of panels


def accuracy_figure(
    histories: Histories, datasets: Sequence[str], untrained: Histories | None = None
) -> Figure:
    """Figure 1: validation accuracy over pretraining, a column of panels for each data set.

    The upper row is k-NN, the lower the online linear probe. `untrained` draws horizontal lines,
    from the histories of encoders without training: measured as the curves are, so comparable.
    """
    names = list(datasets) or [""]
    styles = run_styles(histories)
    columns = [f"{kind}_{name}" for kind in ONLINE for name in names]
    levels = {run: _levels(table, columns) for run, table in (untrained or {}).items()}
    levels = {run: values for run, values in levels.items() if values}
    dots = {run: DOTS[i % len(DOTS)] for i, run in enumerate(levels)}
    with _style():
        figure, panels = _panels(len(ONLINE), len(names))
        for row, (kind, title) in zip(panels, ONLINE.items(), strict=True):
            for panel, name in zip(row, names, strict=True):
                if not _curves(panel, histories, f"{kind}_{name}", styles):
                    _say(panel, _why_empty(histories, name))
                for run, values in levels.items():
                    level = values.get(f"{kind}_{name}")
                    if level is not None:
                        panel.axhline(level, **BASELINE, linestyle=dots[run], gid="baseline")
                panel.yaxis.set_major_formatter(PERCENT)
                _finish(panel)
            row[0].set_ylabel(f"{title} top-1\n(validation, %)")
        for panel, name in zip(panels[0], names, strict=True):
            panel.set_title(name)
        for panel in panels[-1]:
            panel.set_xlabel("pretraining epoch")
        extra = [
            Line2D([], [], **BASELINE, linestyle=dots[run], label=_wrapped(run)) for run in levels
        ]
        _legend(figure, histories, styles, extra)
    return figure


def loss_figure(histories: Histories, methods: Mapping[str, str]) -> Figure:
    """Training loss over epochs; a panel for each method, since their losses do not compare."""
    names = list(dict.fromkeys(methods[run] for run in histories)) or [""]
    styles = run_styles(histories)
    with _style():
        figure, (row,) = _panels(1, len(names))
        for panel, name in zip(row, names, strict=True):
            chosen = {run: table for run, table in histories.items() if methods[run] == name}
            if not _curves(panel, chosen, "loss", styles, markers=False):
                _say(panel, "no finished run" if not chosen else "no loss was logged")
            panel.set_title(name)
            panel.set_xlabel("pretraining epoch")
            _finish(panel)
        row[0].set_ylabel("training loss")
        _legend(figure, histories, styles, [])
    return figure


def run_styles(runs: Sequence[str] | Histories) -> dict[str, dict[str, object]]:
    """Colour and dashes of each run; by its place among `runs`, so the same in every figure.

    Ten colours that colour-blind readers can tell apart, then the same ten dashed.
    """
    colours = sns.color_palette("colorblind", 10)
    return {
        run: {"color": colours[i % 10], "linestyle": DASHES[i // 10 % len(DASHES)]}
        for i, run in enumerate(runs)
    }


def save(figure: Figure, path_stem: str, write_bytes: Callable[[str, bytes], object]) -> None:
    """Hand `path_stem`.png and .svg to `write_bytes`; the same figure gives the same bytes."""
    for kind, options in (
        ("png", {"dpi": 150, "metadata": {"Software": None}}),
        ("svg", {"metadata": {"Date": None, "Creator": None}}),
    ):
        image = io.BytesIO()
        with _style(), mpl.rc_context({"svg.hashsalt": "sslpipe"}):
            figure.savefig(image, format=kind, bbox_inches="tight", **options)
        write_bytes(f"{path_stem}.{kind}", image.getvalue())


# --- parts ------------------------------------------------------------------------------------


@contextmanager
def _style() -> Iterator[None]:
    """The figures' own look, whatever the caller or a matplotlibrc has set."""
    with mpl.rc_context():
        mpl.rcdefaults()
        with sns.axes_style("whitegrid"), sns.plotting_context("notebook", font_scale=0.95):
            yield


def _panels(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    """A figure and its panels (rows, columns), which share the epoch axis."""
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for panel in panels.flat:
        panel.tick_params(labelbottom=True)
    return figure, panels


def _levels(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, float]:
    """column → its value in an untrained encoder's history, of those that were measured."""
    values = {column: table[column].dropna() for column in columns if column in table}
    return {column: float(value.iloc[-1]) for column, value in values.items() if len(value)}


def _curves(
    panel: Axes,
    histories: Histories,
    column: str,
    styles: Mapping[str, Mapping],
    markers: bool = True,
) -> bool:
    """One line for each run that has this column; says whether there was any."""
    drawn = False
    for run, table in histories.items():
        if column not in table or not table[column].notna().any():
            continue
        curve = table[["epoch", column]].dropna().astype(float)
        few = markers and len(curve) <= 30
        sns.lineplot(
            data=curve, x="epoch", y=column, ax=panel, estimator=None, legend=False, linewidth=1.8,
            marker="o" if few else None, markersize=5, markeredgewidth=0, **styles[run],
        )  # fmt: skip
        _mark_resumed(panel, table, curve, column, styles[run]["color"])
        drawn = True
    panel.set(xlabel="", ylabel="")
    return drawn


def _mark_resumed(
    panel: Axes, table: pd.DataFrame, curve: pd.DataFrame, column: str, colour: object
) -> None:
    """Hollow diamonds where the run restarted, on its line: it need not have a point there."""
    if "resumed" not in table:
        return
    epochs = table.loc[table["resumed"].fillna(0).astype(float) > 0, "epoch"].astype(float)
    if len(epochs):
        height = np.interp(epochs, curve["epoch"], curve[column])
        panel.plot(epochs, height, **DIAMOND, markeredgecolor=colour, zorder=5, gid="resumed")


def _why_empty(histories: Histories, dataset: str) -> str:
    if not dataset:
        return "no data set"
    return "no online evaluation" if histories else "no finished run"


def _say(panel: Axes, text: str) -> None:
    panel.text(0.5, 0.5, text, transform=panel.transAxes, ha="center", va="center", color=GREY)


def _finish(panel: Axes) -> None:
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, steps=[1, 2, 5, 10]))
    if not panel.lines:  # only words: no numbers that mean nothing
        panel.set_yticks([])
        panel.grid(False)
    sns.despine(ax=panel)


def _legend(
    figure: Figure, histories: Histories, styles: Mapping[str, Mapping], extra: list[Line2D]
) -> None:
    """One legend right of all panels: runs, then what is not a run."""
    handles = [
        Line2D([], [], linewidth=1.8, label=_wrapped(run), **styles[run]) for run in histories
    ]
    handles += extra
    if any("resumed" in table and table["resumed"].fillna(0).any() for table in histories.values()):
        handles.append(Line2D([], [], **DIAMOND, markeredgecolor=GREY, label=_wrapped(RESUMED)))
    if handles:
        rows = figure.axes[0].get_gridspec().nrows
        columns = math.ceil(len(handles) / (LEGEND_LINES * rows))
        figure.set_figwidth(figure.get_figwidth() + LEGEND_WIDTH * columns)
        figure.legend(handles=handles, loc="outside right upper", frameon=False, ncols=columns)


def _wrapped(label: str) -> str:
    return "\n".join(textwrap.wrap(label.replace("_", "_ "), LEGEND_LINE)).replace("_ ", "_")
