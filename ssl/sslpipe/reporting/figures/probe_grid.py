"""Heat-maps of the grid of linear probes: which learning rate and weight decay, and is it inside?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sslpipe.reporting.figures.layout import label_distances, panels, say_only
from sslpipe.reporting.figures.style import Style, look
from sslpipe.reporting.scored import Scored

MOST_WRITTEN = 80  # cells that hold their number; more get a bar of colours
SIZE = (4.0, 2.1)  # inches
CHOSEN: Style = {"fill": False, "edgecolor": "#d55e00", "linewidth": 3}


def probe_grid_figure(scored: Scored) -> Figure:
    """Validation top-1 over learning rate × weight decay, of the best setting (its first run) of
    each method: a row of panels for each method, a column for each data set."""
    results, methods = scored.results, scored.methods or {"": []}
    with look():
        figure, grid = panels(len(methods), len(scored.datasets), size=SIZE, gap=(1.1, 1.15))
        for row, (method, settings) in zip(grid, methods.items(), strict=True):
            for panel, name in zip(row, scored.datasets, strict=True):
                chosen = scored.best(name, settings)
                features = results.features.get((name, chosen.name)) if chosen else None
                panel.set_title(name)
                label_distances(panel, 0.62, 0.32, SIZE)
                if chosen is None or features is None:
                    say_only(panel, f"no finished run of {method}" if method else "no finished run")
                    continue
                metrics = results.metrics[name, chosen.name]
                optimizer = metrics["probe_best_optimizer"]
                _draw(panel, plane(features["grid"], optimizer), metrics)
                with_name = "" if len(_optimizers(features["grid"])) == 1 else f", {optimizer}"
                edge = "\nbest on the edge of the grid" if metrics["probe_best_on_edge"] else ""
                panel.set_title(f"{name}: {chosen.name}{with_name}{edge}", fontsize=10)
    return figure


def plane(grid: Sequence[Mapping[str, Any]], optimizer: str) -> pd.DataFrame:
    """Validation top-1 of an optimiser's cells: a row for each weight decay, a column for each
    learning rate, both rising."""
    cells = pd.DataFrame([cell for cell in grid if cell["optimizer"] == optimizer])
    return cells.pivot(index="weight_decay", columns="lr", values="val_top1")


def _optimizers(grid: Sequence[Mapping[str, Any]]) -> set[str]:
    return {cell["optimizer"] for cell in grid}


def _draw(panel: Axes, values: pd.DataFrame, metrics: Mapping[str, Any]) -> None:
    import seaborn as sns  # takes seconds, which only the heat-maps are worth

    written = values.size <= MOST_WRITTEN
    sns.heatmap(
        100 * values, ax=panel, cmap="mako", cbar=not written, annot=written, fmt=".1f",
        annot_kws={"fontsize": 8.5 if values.shape[1] <= 6 else 6.5},
        xticklabels=False, yticklabels=False, linewidths=0,
    )  # fmt: skip
    panel.set_xticks(
        [i + 0.5 for i in range(values.shape[1])], [f"{lr:g}" for lr in values.columns]
    )
    panel.set_yticks([i + 0.5 for i in range(values.shape[0])], [f"{wd:g}" for wd in values.index])
    panel.set(xlabel="learning rate", ylabel="weight decay")
    panel.grid(False)
    lr, decay = metrics["probe_best_lr"], metrics["probe_best_weight_decay"]
    if lr in values.columns and decay in values.index:
        corner = list(values.columns).index(lr), list(values.index).index(decay)
        panel.add_patch(Rectangle(corner, 1, 1, **CHOSEN, gid="chosen", clip_on=False))
