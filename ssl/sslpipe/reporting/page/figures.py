"""What `sslpipe figures` and `sslpipe study` drew, for the page to hold.

As pictures, not as elements of the page: ids and styles of one reach neither another nor the page.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace
from pathlib import Path

from sslpipe.reporting.few_runs import of_study
from sslpipe.reporting.paired import Json
from sslpipe.reporting.results import Results

FILE = re.compile(
    rb'viewBox="0 0 (?P<width>[\d.]+) (?P<height>[\d.]+)".*<dc:source>(?P<of>\w+)</dc:source>.*</svg>\s*$',
    re.DOTALL,
)
PIXELS = 4 / 3  # of CSS, to a point
WORDS = {
    "accuracy": (
        "Top-1 on validation images over pretraining, of k-NN and of the online linear probe",
        "Lines of accuracy over epochs; the table has their last values.",
    ),
    "loss": (
        "Training loss over epochs, a panel for each method",
        "Lines of loss over epochs; the table has their last values.",
    ),
    "budget": (
        "Probe top-1 against training time and images seen; the steps join what nothing cheaper beats",
        "Points of settings; the leaderboard has score, device-hours and images seen as columns.",
    ),
    "probe_grid": (
        "Validation top-1 of the probe grid, of the best setting of each method; the chosen cell is framed",
        "Heat maps of learning rate and weight decay; the leaderboard has the chosen probe's scores.",
    ),
    "knn_k": (
        "k-NN top-1 over the number of neighbours",
        "Lines over the number of neighbours; the leaderboard has them as columns.",
    ),
    "feature_map": (
        "Test images in two dimensions: the best setting by validation, and the untrained encoder",
        "Clouds of points, a colour for each class.",
    ),
    "confusion": (
        "What the linear probe of the best setting by validation takes for what, percent of a class",
        "Heat maps, a row for each class; the tables have the pairs that are confused most.",
    ),
}
"""name → its caption, and what is said of it to those who do not see it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """source: empty where the file is missing, cut short, or not of the results that there are;
    width, height: as it was drawn, in CSS pixels."""

    name: str
    caption: str
    instead: str
    made_by: str
    source: str = ""
    width: int = 0
    height: int = 0

    @property
    def least(self) -> int:
        """The width below which its smallest letters, of some 8 points, could hardly be read."""
        return round(0.75 * self.width)


def figures(results: Results) -> dict[str, Figure]:
    made_of = results.stamp("figures")
    return {
        name: _filled(results, made_of, Figure(name, *words, "sslpipe figures"))
        for name, words in WORDS.items()
    }


def figure_of(results: Results, study: Json) -> Figure:
    name = study["name"]
    empty = Figure(
        f"study_{name}",
        f"Top-1 by {study['x_label']}, percent, with intervals over test images",
        f"A chart of the study {study['title']}; the table below has the numbers.",
        f"sslpipe study {name}",
    )
    return _filled(results, of_study(results, name).stamp("study"), empty)


def _filled(results: Results, made_of: str, figure: Figure) -> Figure:
    """With its picture, if that is there and of the results that there are."""
    path: Path = results.layout.figure(figure.name, "svg")
    content = path.read_bytes() if path.exists() else b""
    found = FILE.search(content)
    if not found or found["of"].decode() != made_of:
        return figure
    source = f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"
    width, height = (round(PIXELS * float(found[side])) for side in ("width", "height"))
    return replace(figure, source=source, width=width, height=height)
