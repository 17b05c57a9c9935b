"""Numbers as the page writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sslpipe.reporting.leaderboard_text import DASH, duration, percent

__all__ = ["DASH", "counted", "duration", "flat", "p_value", "percent", "points", "rounded", "span"]


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """ "1 run", "2,000 runs"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def span(low: float | None, high: float | None) -> str:
    """An interval of fractions in percent, or nothing."""
    return "" if low is None or high is None else f"{100 * low:.1f}–{100 * high:.1f}"


def points(difference: float, low: float, high: float) -> tuple[str, str]:
    """A difference of fractions and its interval, in points of percent."""
    return signed(difference), f"{signed(low)} to {signed(high)}"


def signed(difference: float) -> str:
    return f"{100 * difference:+.1f}".replace("-", "−")


def p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def rounded(values: Iterable[float | None], digits: int = 5) -> list[float | None]:
    """To so many significant digits; what is not a number becomes None."""
    return [None if v is None or v != v else float(f"{v:.{digits}g}") for v in values]


def flat(value: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of nested dictionaries, with keys like `probe.epochs`; a list is a leaf."""
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner
