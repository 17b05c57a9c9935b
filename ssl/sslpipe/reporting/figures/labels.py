"""Names beside points, placed so that they cover neither each other nor any point."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

SIZE = 8.5  # points, 1/72 inch
WIDTH, HEIGHT = 0.6 * SIZE, 1.25 * SIZE  # of a character, at most on average
DISTANCES = (7, 16, 28, 42, 58)
ANGLES = (135, 45, 90, 180, 0, -45, -135, -90)  # above left first: no better point lies there
CLEAR = 5  # around a point

Place = tuple[float, float]
Box = tuple[float, float, float, float]  # left, bottom, right, top


class Labels:
    """Of the points (x, y) in `panel`, whose limits must not change any more."""

    def __init__(self, panel: Axes, points: Sequence[Place]) -> None:
        self.panel = panel
        self.scale = 72 / panel.figure.dpi
        panel.autoscale_view()
        spots = panel.transData.transform(np.asarray(points, dtype=np.float64)) * self.scale
        self.taken: list[Box] = [(x - CLEAR, y - CLEAR, x + CLEAR, y + CLEAR) for x, y in spots]
        edges = panel.transAxes.transform([(0, 0), (1, 1)]) * self.scale
        self.inside: Box = (*edges[0], *edges[1])

    def put(self, text: str, point: Place) -> bool:
        """Beside the point, with a line to it where that is not close; False where no room is left."""
        x, y = self.panel.transData.transform(point) * self.scale
        width, height = WIDTH * len(text), HEIGHT
        for distance in DISTANCES:
            for angle in ANGLES:
                right, up = (math.cos(math.radians(angle)), math.sin(math.radians(angle)))
                left = x + distance * right - width * (1 - _sign(right)) / 2
                bottom = y + distance * up - height * (1 - _sign(up)) / 2
                box = (left, bottom, left + width, bottom + height)
                if self._free(box):
                    self._draw(text, point, (left - x, bottom - y), far=distance > DISTANCES[0])
                    self.taken.append(box)
                    return True
        return False

    def _free(self, box: Box) -> bool:
        left, bottom, right, top = self.inside
        return (
            left <= box[0] and bottom <= box[1] and box[2] <= right and box[3] <= top
            and not any(_overlap(box, other) for other in self.taken)
        )  # fmt: skip

    def _draw(self, text: str, point: Place, offset: Place, *, far: bool) -> None:
        line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4}
        self.panel.annotate(
            text, point, offset, textcoords="offset points", fontsize=SIZE, color="0.2",
            va="bottom", zorder=4, arrowprops=line if far else None,
        )  # fmt: skip


def _sign(value: float) -> int:
    return 0 if abs(value) < 1e-9 else int(math.copysign(1, value))


def _overlap(one: Box, other: Box) -> bool:
    return (
        one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    )  # fmt: skip
