"""C4 and C5: whose loss is the least and the most stable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sslpipe.reporting.claims.claim import Claim, Effect, Found, Part, Table, above, missing
from sslpipe.reporting.claims.evidence import Evidence
from sslpipe.reporting.claims.groups import METHODS, same_budget
from sslpipe.reporting.claims.intervals import difference_of, mean_of
from sslpipe.reporting.claims.losses import FIGURE, loss_of

UNREST = "% of its range an epoch"


def c4(evidence: Evidence) -> Claim:
    least = evidence.results.params.claims.C4
    return Claim(
        "C4",
        "BYOL's loss does not settle; it is the least stable of the three.",
        f"{_measure(least.tail, least.min_epochs)} BYOL's mean unrest must be above SimCLR's and "
        "above MoCo's.",
        _most_restless(evidence),
    )


def _most_restless(evidence: Evidence) -> Found:
    least = evidence.results.params.claims.C4
    unrest = _unrest(evidence, least.min_epochs, least.tail)
    if isinstance(unrest, str):
        return missing(unrest, FIGURE)
    compared = {other: _difference(evidence, unrest, "byol", other) for other in ("simclr", "moco")}
    parts = [
        above(effect, 0, f"the unrest of BYOL minus that of {METHODS[other]} is {{}}")
        for other, effect in compared.items()
    ]
    return _stability(unrest, parts, compared, "BYOL's unrest minus the next one's", [])


def c5(evidence: Evidence) -> Claim:
    least = evidence.results.params.claims.C5
    return Claim(
        "C5",
        "MoCo's loss falls fast, then slowly; it is the most stable of the three.",
        f"{_measure(least.tail, least.min_epochs)} MoCo's mean unrest must be below SimCLR's and "
        f"below BYOL's. The first {100 * least.early:g} % of the epochs must hold more than "
        f"{100 * least.fall:g} % of the fall of MoCo's loss from its first epoch to its lowest, and "
        "after them it must fall on.",
        _most_stable(evidence),
    )


def _most_stable(evidence: Evidence) -> Found:
    least = evidence.results.params.claims.C5
    unrest = _unrest(evidence, least.min_epochs, least.tail)
    if isinstance(unrest, str):
        return missing(unrest, FIGURE)
    compared = {other: _difference(evidence, unrest, other, "moco") for other in ("simclr", "byol")}
    parts = [
        above(effect, 0, f"the unrest of {METHODS[other]} minus that of MoCo is {{}}")
        for other, effect in compared.items()
    ]
    losses = [loss for run in unrest["moco"] if (loss := loss_of(evidence, run, least.min_epochs))]
    early = f"{100 * least.early:g} %"
    fallen = [100 * loss.fallen_by(least.early * loss.epochs[-1]) for loss in losses]
    after = [100 * loss.falls_after(least.early * loss.epochs[-1]) for loss in losses]
    parts += [
        above(
            mean_of(fallen, evidence.confidence, "%"),
            100 * least.fall,
            f"the first {early} of the epochs hold {{}} of the fall of MoCo's loss",
        ),
        above(
            mean_of(after, evidence.confidence, "%"),
            0,
            "after them it falls by another {} of its range",
        ),
    ]
    level = np.mean([loss.at(least.early * loss.epochs[-1]) for loss in losses])
    last = np.mean([loss.values[-1] for loss in losses])
    words = [
        f"MoCo's mean loss is {level:.3f} after {early} of the epochs and {last:.3f} at the end."
    ]
    return _stability(unrest, parts, compared, "the next method's unrest minus MoCo's", words)


def _measure(tail: float, min_epochs: int) -> str:
    return (
        f"Unrest is how much the loss climbs an epoch in the last {100 * tail:g} % of the epochs: its "
        "upward steps from one epoch to the next added up, divided by the number of steps and by "
        "the range of the whole loss, highest minus lowest. Compared are runs of at least "
        f"{min_epochs} epochs at budgets at which all three methods were trained."
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
            f"there is no budget at which SimCLR, MoCo and BYOL were all trained for {min_epochs} "
            "epochs or more with a finite loss"
        )
    return found


def _difference(
    evidence: Evidence, unrest: Mapping[str, Mapping[str, float]], one: str, other: str
) -> Effect:
    ones, others = (list(unrest[method].values()) for method in (one, other))
    return difference_of(ones, others, evidence.confidence, UNREST)


def _stability(
    unrest: Mapping[str, Mapping[str, float]],
    parts: Sequence[Part],
    compared: Mapping[str, Effect],
    what: str,
    words: Sequence[str],
) -> Found:
    runs = [run for values in unrest.values() for run in values]
    return Found(
        parts,
        min(compared.values(), key=lambda effect: effect.value),
        runs,
        FIGURE,
        [f"The effect is {what}; its interval is over runs.", *words],
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
