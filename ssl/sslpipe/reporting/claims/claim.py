"""A claim, the parts that it falls into, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Status = Literal["holds", "does not hold", "not enough data"]
DIGITS = 6  # beyond them processors may differ

# How a number of each unit is written.
UNITS = {
    "points": "+.2f",
    "correlation": ".3f",
    "%": ".1f",
    "% of its range an epoch": "+.3f",
}


@dataclass(frozen=True)
class Effect:
    """A number and its interval; low and high are None where there is none, as of a single run."""

    value: float
    low: float | None
    high: float | None
    unit: str

    @property
    def bare(self) -> str:
        """Without its unit."""
        style = UNITS[self.unit]
        if self.low is None or self.high is None:
            return f"{self.value:{style}}"
        return f"{self.value:{style}} [{self.low:{style}}, {self.high:{style}}]"

    def __str__(self) -> str:
        value, space, interval = self.bare.partition(" ")
        unit = "" if self.unit == "correlation" else f" {self.unit}"
        return f"{value}{unit}{space}{interval}"

    def as_json(self) -> dict[str, Any]:
        ends = {key: getattr(self, key) for key in ("value", "low", "high")}
        # + 0.0 turns -0.0 into 0.0
        rounded = {k: None if end is None else round(end, DIGITS) + 0.0 for k, end in ends.items()}
        return {**rounded, "unit": self.unit}


class Part(NamedTuple):
    """One thing that must be so for a claim to hold. true: None where the data do not tell."""

    true: bool | None
    says: str


class Table(NamedTuple):
    headers: list[str]
    rows: list[list[str]]
    align: str
    """l or r for each column."""


@dataclass(frozen=True)
class Found:
    """What the data say of a claim. figure: the name of one below reports/figures, or None."""

    parts: Sequence[Part]
    effect: Effect | None = None
    runs: Sequence[str] = ()
    figure: str | None = None
    details: Sequence[str] = ()
    table: Table | None = None

    @property
    def status(self) -> Status:
        """A claim falls with any of its parts, and holds with all of them."""
        truths = [part.true for part in self.parts]
        if False in truths:
            return "does not hold"
        return "not enough data" if None in truths else "holds"

    @property
    def reason(self) -> str:
        """One sentence of the parts that decided."""
        deciding = {"does not hold": False, "not enough data": None, "holds": True}[self.status]
        says = "; ".join(part.says for part in self.parts if part.true is deciding)
        return f"{says[0].upper()}{says[1:]}."


@dataclass(frozen=True)
class Claim:
    """id: C1 to C11; claim: the study's words, shortened; rule: when it holds, thresholds filled in."""

    id: str
    claim: str
    rule: str
    found: Found

    def as_json(self) -> dict[str, Any]:
        found = self.found
        return {
            "id": self.id,
            "claim": self.claim,
            "rule": self.rule,
            "status": found.status,
            "reason": found.reason,
            "effect": found.effect and found.effect.as_json(),
            "runs": list(found.runs),
            "figure": f"figures/{found.figure}.png" if found.figure else None,
            "details": list(found.details),
            "table": found.table and found.table._asdict(),
        }


def points(number: float) -> str:
    """As words: 1 point, 2 points."""
    return f"{number:g} point{'' if abs(number) == 1 else 's'}"


def missing(why: str, figure: str | None = None) -> Found:
    """There is nothing to decide on."""
    return Found([Part(None, why)], figure=figure)


def above(effect: Effect, threshold: float, what: str) -> Part:
    """Is the whole interval above? what: words with {} where the number goes."""
    return _within(effect, threshold, None, what, f"above {threshold:g}")


def below(effect: Effect, threshold: float, what: str) -> Part:
    return _within(effect, None, threshold, what, f"below {threshold:g}")


def between(effect: Effect, low: float, high: float, what: str) -> Part:
    return _within(effect, low, high, what, f"between {low:g} and {high:g}")


def at_least(effect: Effect, margin: float, what: str) -> Part:
    """Is it no less than nothing, where less than `margin` below counts as nothing?

    A non-inferiority test, but what is shown to be worse never passes: true where the interval lies
    above -margin and reaches 0, false where it lies below 0.
    """
    if effect.high is not None and effect.high < 0:
        return Part(False, f"{what.format(effect)}, below 0")
    return above(effect, -margin, what)


def _within(effect: Effect, least: float | None, most: float | None, what: str, where: str) -> Part:
    says = what.format(effect)
    if effect.low is None or effect.high is None:
        return Part(None, f"{says}, without an interval, which takes two runs")
    too_low = least is not None and effect.high < least
    too_high = most is not None and effect.low > most
    if too_low or too_high:
        return Part(False, f"{says}, not {where}")
    inside = (least is None or effect.low > least) and (most is None or effect.high < most)
    if inside:
        return Part(True, f"{says}, {where}")
    return Part(None, f"{says}, which does not tell whether it is {where}")
