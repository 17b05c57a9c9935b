"""Axes of percentages and of quantities that span decades."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

PERCENT = FuncFormatter(lambda fraction, _: f"{100 * fraction:g}")


def logarithmic(panel: Axes, values: Sequence[float], margin: float = 1.3) -> None:
    """A logarithmic horizontal axis around these values (positive), by the factor `margin` wider, with
    ticks that can be read."""
    low, high = min(values) / margin, max(values) * margin
    if high < 4 * low:
        middle = math.sqrt(low * high)
        low, high = middle / 2, middle * 2
    panel.set_xscale("log")
    panel.set_xlim(low, high)
    ticks_at(panel, decimal_ticks(low, high))


def decimal_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """1, 2 and 5 times powers of ten between low and high, or as many of the powers as fit."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [
        tick
        for power in powers
        for factor in (1, 2, 5)
        if low <= (tick := factor * 10.0**power) <= high
    ]
    if len(found) > most:
        whole = [10.0**power for power in powers if low <= 10.0**power <= high]
        found = whole[:: math.ceil(len(whole) / most)]
    return found


def ticks_at(panel: Axes, places: Sequence[float]) -> None:
    """Ticks of the horizontal axis at these values and nowhere else."""
    panel.xaxis.set_major_locator(FixedLocator(list(places)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def short(value: float) -> str:
    """As in 0.002, 50, 20 k, 1.5 M."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if value >= unit:
            return f"{value / (1e3 if name == ' k' else unit):g}{name}"
    return f"{value:g}"
