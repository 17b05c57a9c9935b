"""What the probe takes for what: confusion of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from sslpipe.io.arrays import read_arrays
from sslpipe.reporting.figures.layout import columns, cut, label_distances, panels, say_only
from sslpipe.reporting.figures.style import look
from sslpipe.reporting.letters import drawable
from sslpipe.reporting.results import Results
from sslpipe.reporting.scored import Scored

MOST = 25  # classes that are all shown
SHOWN = 20  # of more
WRITTEN = 12  # classes whose cells hold their number
LABEL = 20  # columns
SIDE = 4.6  # inches
BAR = 0.15
TICKS = (0, 1, 5, 10, 20, 40, 60, 80, 100)  # of a scale that shows small shares apart


def confusion_figure(scored: Scored) -> Figure:
    """Of each data set the best trained setting by validation, all of its runs together: the share
    of a class's test images (row) that the probe takes for a class (column)."""
    names = scored.datasets
    shown = {name: _shown(scored, name) for name in names}
    lengths = [columns(label) for _, _, labels in shown.values() for label in labels]
    longest = min(max(lengths, default=0), LABEL)
    with look():
        figure, (row,) = panels(1, len(names), size=(SIDE, SIDE), gap=(0.7 + 0.075 * longest, 0))
        for panel, name in zip(row, names, strict=True):
            title, shares, labels = shown[name]
            panel.set_title(f"{name}{title}", fontsize=10.5)
            if labels:
                colours = _draw(panel, shares, labels)
            else:
                say_only(panel, "no finished run has been scored")
        if any(labels for _, _, labels in shown.values()):
            width = figure.get_figwidth()
            bar = figure.add_axes((1 + BAR / width, 0, BAR / width, 1))
            figure.colorbar(colours, cax=bar, ticks=TICKS, label="images of the true class (%)")
    return figure


def confusion_shares(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes): of the images of a row's class, the share answered with a column's.

    An answer of -1 (none) is of no column; a class without images has a row of zeros.
    """
    known = answers >= 0
    pairs = np.bincount(labels[known] * classes + answers[known], minlength=classes**2)
    images = np.bincount(labels, minlength=classes)
    return pairs.reshape(classes, classes) / np.maximum(images, 1)[:, None]


def most_confused(shares: np.ndarray, number: int) -> np.ndarray:
    """Sorted places of the classes in the pairs that are mistaken for one another most, by the sum of
    both shares; of equal pairs the first."""
    both = np.triu(shares + shares.T, 1)
    order = np.argsort(-both, axis=None, kind="stable")
    pairs = np.stack(np.unravel_index(order, both.shape), axis=1)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    chosen: dict[int, None] = {}
    for pair in pairs.tolist():
        chosen |= dict.fromkeys(pair)
        if len(chosen) >= number:
            break
    return np.sort(list(chosen)[:number])


def _shown(scored: Scored, dataset: str) -> tuple[str, np.ndarray, list[str]]:
    """What to add to the title, shares and class names; no names where nothing is known."""
    chosen = scored.best(dataset, scored.trained)
    answers = _answers(scored.results, dataset, chosen.runs) if chosen else []
    features = scored.results.features.get((dataset, chosen.name)) if chosen else None
    if chosen is None or not answers or features is None:
        return "", np.zeros((0, 0)), []
    classes = drawable(tuple(features["classes"]), dataset)
    label, probe = (np.concatenate([some[key] for some in answers]) for key in ("label", "probe"))
    shares = confusion_shares(label, probe, len(classes))
    title = f": {chosen.name}"
    if len(answers) > 1:
        title += f" ({len(answers)} seeds)"
    if len(classes) > MOST:
        some = most_confused(shares, SHOWN)
        title += f"\nthe {len(some)} of {len(classes)} classes in the most confused pairs"
        return title, shares[np.ix_(some, some)], [classes[i] for i in some]
    return title, shares, classes


def _answers(results: Results, dataset: str, runs: Sequence[str]) -> list[dict[str, np.ndarray]]:
    """Of these runs alone: reading those of all takes longer than drawing the figure."""
    paths = [results.layout.predictions(run, dataset) for run in runs]
    return [read_arrays(path) for path in paths if path.exists()]


def _draw(panel: Axes, shares: np.ndarray, labels: Sequence[str]) -> QuadMesh:
    import seaborn as sns  # takes seconds, which only the heat-maps are worth

    few = len(labels) <= WRITTEN
    size = 9 if few else 7.5
    sns.heatmap(
        100 * shares, ax=panel, cmap="mako_r", norm=PowerNorm(0.5, 0, 100), cbar=False, annot=few, fmt=".0f",
        annot_kws={"fontsize": 8}, xticklabels=False, yticklabels=False, linewidths=0,
    )  # fmt: skip
    places = np.arange(len(labels)) + 0.5
    words = [cut(label, LABEL) for label in labels]
    panel.set_xticks(places, words, rotation=90, fontsize=size)
    panel.set_yticks(places, words, fontsize=size)
    room = 0.2 + size / 72 * 0.68 * max(map(columns, words))  # inches, of the longest word
    label_distances(panel, room, room, (SIDE, SIDE))
    panel.set(xlabel="answered", ylabel="true class")
    panel.grid(False)
    mesh = panel.collections[0]
    assert isinstance(mesh, QuadMesh)
    return mesh
