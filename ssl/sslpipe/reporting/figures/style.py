"""The look of all figures: seaborn's, colours of settings, and files of equal bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sslpipe.reporting.letters import OWN, families
from sslpipe.reporting.settings import Setting

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType  # since 3.11

Style = dict[str, Any]

# seaborn's "whitegrid" in its "notebook" size × 0.95, and its palette "colorblind". As values, since
# seaborn takes seconds to import; a test compares them. The font is the one that matplotlib brings,
# and titles have a fixed place, which matplotlib would seek again in every drawing.
LOOK: dict[RcKeyType, Any] = {
    "axes.axisbelow": True, "axes.edgecolor": ".8", "axes.facecolor": "white", "axes.grid": True,
    "axes.labelcolor": ".15", "axes.labelsize": 11.4, "axes.linewidth": 1.25, "axes.titlesize": 11.4,
    "axes.titley": 1.0,
    "figure.facecolor": "white", "font.size": 11.4,
    "grid.color": ".8", "grid.linestyle": "-", "grid.linewidth": 1.0, "legend.fontsize": 10.45,
    "legend.title_fontsize": 11.4, "lines.linewidth": 1.5, "lines.markersize": 6.0,
    "lines.solid_capstyle": "round", "patch.edgecolor": "w", "patch.force_edgecolor": True,
    "patch.linewidth": 1.0, "text.color": ".15", "text.parse_math": False,
    "xtick.bottom": False, "xtick.color": ".15",
    "xtick.direction": "out", "xtick.labelsize": 10.45, "xtick.major.size": 6.0,
    "xtick.major.width": 1.25, "xtick.minor.size": 4.0, "xtick.minor.width": 1.0,
    "ytick.color": ".15", "ytick.direction": "out", "ytick.labelsize": 10.45, "ytick.left": False,
    "ytick.major.size": 6.0, "ytick.major.width": 1.25, "ytick.minor.size": 4.0,
    "ytick.minor.width": 1.0,
}  # fmt: skip
COLOURS = (
    "#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc",
    "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9",
)  # fmt: skip
DASHES = ("-", "--", "-.", ":")
DOTS = [(0, (1, 1.5)), (0, (3, 1.5, 1, 1.5)), (0, (5, 2)), (0, (1, 4))]
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "0.35"
DPI = 120
MARGIN = 0.1  # inches around all that is drawn
BASELINE: Style = {"color": GREY, "linewidth": 1.4}


FAMILIES: ContextVar[Sequence[str]] = ContextVar("families", default=(OWN.family,))


@contextmanager
def look() -> Iterator[None]:
    """The figures' own look, whatever the caller or a matplotlibrc has set."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(LOOK | {"font.family": list(FAMILIES.get())})
        yield


@contextmanager
def able_to_write(names: Iterable[str]) -> Iterator[None]:
    """Figures made and saved within have the letters of these names, as far as the machine has them."""
    before = FAMILIES.set(families(names))
    try:
        yield
    finally:
        FAMILIES.reset(before)


def as_files(figure: Figure, *, of: str) -> dict[str, bytes]:
    """suffix → content; the same figure gives the same bytes. of: a hash of what it was made of, which
    the svg tells the page."""
    found = {}
    with look(), mpl.rc_context({"svg.hashsalt": "sslpipe"}):
        # Once for both, where savefig's "tight" would draw the figure for each to find it.
        box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer()).padded(MARGIN)
        for kind, metadata in (
            ("png", {"Software": None}),
            ("svg", {"Date": None, "Creator": None, "Source": of}),
        ):
            image = io.BytesIO()
            figure.savefig(image, format=kind, bbox_inches=box, dpi=DPI, metadata=metadata)
            found[kind] = image.getvalue()
    return found


def styles_of(groups: Sequence[Setting]) -> dict[str, Style]:
    """run → colour, dashes and marker, the same for all runs of a setting; by the setting's place
    among all, so the same in every figure.

    Ten colours that colour-blind readers can tell apart, then the same ten dashed.
    """
    return {
        run: {
            "color": COLOURS[i % 10],
            "linestyle": DASHES[i // 10 % len(DASHES)],
            "marker": MARKERS[i // 40 % len(MARKERS)],
        }
        for i, setting in enumerate(groups)
        for run in setting.runs
    }


def baseline_style(number: int) -> Style:
    return {**BASELINE, "linestyle": DOTS[number % len(DOTS)]}
