"""Numbers and verdicts in words, the same in every table, page and terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sslpipe.reporting.paired import Comparison

DASH = "–"
MOST_NAMES = 8  # in a sentence

# What a setting is, beside another; see `Comparison.verdict`.
VERDICTS = {
    "better": "is better than", "worse": "is worse than", "tied": "cannot be told apart from"
}  # fmt: skip


def percent(fraction: float, std: float | None = None, digits: int = 1) -> str:
    """`65.3`, or `65.3 ± 0.4` with a deviation."""
    return spread(100 * fraction, None if std is None else 100 * std, digits)


def spread(mean: float, std: float | None, digits: int = 1) -> str:
    return f"{mean:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")


def span(low: float | None, high: float | None) -> str:
    """An interval of fractions in percent, `61.2–69.1`, or nothing."""
    return "" if low is None or high is None else f"{percent(low)}–{percent(high)}"


def points(difference: float) -> str:
    """A difference of fractions in points of percent: `+1.2`."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"  # without -0.0


def points_span(found: Comparison) -> str:
    """`-0.3 to +2.1`."""
    return f"{points(found.low)} to {points(found.high)}"


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def how_sure(found: Comparison) -> str:
    """`-0.3 to +2.1, p = 0.043`."""
    p = p_value(found.p)
    return f"{points_span(found)}, p {p if p.startswith('<') else f'= {p}'}"


def share(fraction: float) -> str:
    """`95 %`."""
    return f"{100 * fraction:g} %"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def spent(key: str, value: float | None) -> str:
    """What a training took, by its key in the leaderboard."""
    if value is None:
        return DASH
    if key == "train_seconds":
        return duration(value)
    if key == "device_hours" and value < 1:
        return f"{value:.2g}"
    return f"{value:,.1f}" if key == "device_hours" else f"{value:,.0f}"


def value_in_words(value: Any) -> str:
    """A parameter's value as in params.yaml."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case list() | tuple():
            return f"[{', '.join(map(value_in_words, value))}]"
        case _:
            return str(value)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 run`, `2,000 runs`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def names(runs: Sequence[str]) -> str:
    """The first few of them, and how many more there are."""
    more = len(runs) - MOST_NAMES
    shown = ", ".join(runs[:MOST_NAMES])
    return shown if more <= 0 else f"{shown} and {more} more"
