"""C4 and C5: whose loss is the least and the most stable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sslpipe.reporting.claims.claim import Found, Part, Table, above, missing
from sslpipe.reporting.claims.evidence import Evidence
from sslpipe.reporting.claims.groups import METHODS, NAMED, same_budget
from sslpipe.reporting.claims.intervals import difference_of, mean_of
from sslpipe.reporting.claims.losses import FIGURE, loss_of
from sslpipe.reporting.words import share
from sslpipe.schema.report import MoCoLoss, Stability

UNREST = "% of its range an epoch"


def stability(evidence: Evidence, least: Stability, *, method: str, restless: bool) -> Found:
    """Is the method's unrest above that of all others, or else below? C5 asks too how its loss falls."""
    unrest = _unrest(evidence, least.min_epochs, least.tail)
    if isinstance(unrest, str):
        return missing(unrest, FIGURE)
    effects, parts = [], []
    for other in METHODS:
        if other != method:
            more, less = (method, other) if restless else (other, method)
            ones, others = (list(unrest[name].values()) for name in (more, less))
            effects.append(difference_of(ones, others, evidence.confidence, UNREST))
            what = f"the unrest of {METHODS[more]} minus that of {METHODS[less]} is {{}}"
            parts.append(above(effects[-1], 0, what))
    name = METHODS[method]
    what = (
        f"{name}'s unrest minus the next one's"
        if restless
        else f"the next method's unrest minus {name}'s"
    )
    words = [f"The effect is {what}; its interval is over runs."]
    if isinstance(least, MoCoLoss):
        fall, level = _fall(evidence, least, list(unrest[method]), name)
        parts += fall
        words.append(level)
    return Found(
        parts,
        min(effects, key=lambda effect: effect.value),
        [run for values in unrest.values() for run in values],
        FIGURE,
        words,
        Table(
            ["method", "runs", "mean unrest, % of its range an epoch", "least", "most"],
            [
                [
                    METHODS[method],
                    str(len(values)),
                    *(f"{of(list(values.values())):.3f}" for of in (np.mean, min, max)),
                ]
                for method, values in unrest.items()
            ],
            "lrrrr",
        ),
    )


def _fall(
    evidence: Evidence, least: MoCoLoss, runs: Sequence[str], name: str
) -> tuple[list[Part], str]:
    """Does a method's loss fall early, and go on falling? And its level, in words."""
    losses = [loss for run in runs if (loss := loss_of(evidence, run, least.min_epochs))]
    early = share(least.early)
    fallen = [100 * loss.fallen_by(least.early * loss.epochs[-1]) for loss in losses]
    after = [100 * loss.falls_after(least.early * loss.epochs[-1]) for loss in losses]
    parts = [
        above(
            mean_of(fallen, evidence.confidence, "%"),
            100 * least.fall,
            f"the first {early} of the epochs hold {{}} of the fall of {name}'s loss",
        ),
        above(
            mean_of(after, evidence.confidence, "%"),
            0,
            "after them it falls by another {} of its range",
        ),
    ]
    level = np.mean([loss.at(least.early * loss.epochs[-1]) for loss in losses])
    last = np.mean([loss.values[-1] for loss in losses])
    return (
        parts,
        f"{name}'s mean loss is {level:.3f} after {early} of the epochs and {last:.3f} at the end.",
    )


def _unrest(evidence: Evidence, min_epochs: int, tail: float) -> dict[str, dict[str, float]] | str:
    """method → run → unrest in % of the range, at budgets that all methods share; or why not."""
    found: dict[str, dict[str, float]] = {method: {} for method in METHODS}
    for group in same_budget(evidence, evidence.settings):
        its: dict[str, dict[str, float]] = {method: {} for method in METHODS}
        for setting in group:
            for run in setting.runs:
                loss = loss_of(evidence, run, min_epochs)
                method = evidence.made[run]["method"]
                if loss and method in its:
                    its[method][run] = 100 * loss.unrest((1 - tail) * loss.epochs[-1])
        if all(its.values()):
            for method, values in its.items():
                found[method] |= values
    if not all(found.values()):
        return (
            f"there is no budget at which {NAMED} were all trained for {min_epochs} "
            "epochs or more with a finite loss"
        )
    return found
