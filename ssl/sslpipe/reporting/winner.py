"""The best of a data set, and how surely: what leaderboard.md and the page say of it first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sslpipe.reporting.leaderboard import Row, compared, rows_of
from sslpipe.reporting.paired import Comparison, Json


@dataclass(frozen=True, slots=True)
class Against:
    """The best setting beside another one, by the probe on all test images. what: the next, the
    untrained encoder or raw pixels; found: the best minus the other; verdict: `Comparison`'s."""

    what: str
    other: str
    found: Comparison
    verdict: str


@dataclass(frozen=True, slots=True)
class Winner:
    """best: the trained setting of the highest public score. tied: the other trained settings that a
    test does not tell apart from it. absent: baselines that there is no score of."""

    best: Row
    trained: int
    against: Sequence[Against]
    tied: Sequence[str]
    absent: Sequence[str]


def winner(whole: Json, dataset: str) -> Winner | None:
    """None where no trained run was scored."""
    trained = [row for row in rows_of(whole, dataset) if row["kind"] == "trained"]
    if not trained:
        return None
    best, *others = trained
    rivals, absent = [("the next", row) for row in others[:1]], []
    baselines = [row for row in rows_of(whole, dataset) if row["kind"] == "baseline"]
    for what, pixels in (("the untrained encoder", False), ("raw pixels", True)):
        found = [row for row in baselines if (row["backbone"] == "pixels") == pixels]
        if found:
            rivals.append((what, max(found, key=lambda row: row["scores"]["public_top1"]["mean"])))
        else:
            absent.append(what)

    def against(what: str, other: str) -> Against:
        found = compared(whole, dataset, best["run"], other)
        verdict = found.verdict(whole["made_by"]["report"]["confidence"])
        return Against(what, other, found, verdict)

    tied = [row["run"] for row in others if against("", row["run"]).verdict == "tied"]
    against_rivals = [against(what, row["run"]) for what, row in rivals]
    return Winner(best, len(trained), against_rivals, tied, absent)
