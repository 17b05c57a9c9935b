"""C3 to C5: the training loss over epochs. Losses of different methods have different scales, so each
is measured against its own range, highest to lowest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sslpipe.reporting.claims.claim import (
    Claim,
    Effect,
    Found,
    Part,
    Table,
    above,
    below,
    missing,
)
from sslpipe.reporting.claims.curves import curves, epochs_of, mean_change
from sslpipe.reporting.claims.evidence import Evidence
from sslpipe.reporting.claims.groups import METHODS, same_budget
from sslpipe.reporting.claims.intervals import difference_of, mean_of

FIGURE = "loss"
UNREST = "% of its range"


@dataclass(frozen=True, eq=False)
class Loss:
    """A run's loss: epochs (n,) ascending, values (n,), each the mean over an epoch."""

    epochs: np.ndarray
    values: np.ndarray

    @property
    def range(self) -> float:
        return float(np.ptp(self.values))

    def at(self, epoch: float) -> float:
        return float(np.interp(epoch, self.epochs, self.values))

    def fallen_by(self, epoch: float) -> float:
        """Share of the whole fall, from the first epoch to the lowest, that lies before `epoch`."""
        whole = self.values[0] - self.values.min()
        return float((self.values[0] - self.at(epoch)) / whole) if whole > 0 else 0.0

    def falls_after(self, epoch: float) -> float:
        """The fall from `epoch` to the end as a share of the range; negative for a rise."""
        return (self.at(epoch) - float(self.values[-1])) / self.range

    def steps_after(self, epoch: float) -> np.ndarray:
        """Changes from one epoch to the next that end after `epoch`."""
        return np.diff(self.values)[self.epochs[1:] > epoch]

    def unrest(self, epoch: float) -> float:
        """How much it climbs a step after `epoch`, as a share of its range: upward steps added up.

        0 for a loss that falls or stays, however steeply; the same whatever it is multiplied by.
        """
        steps = self.steps_after(epoch)
        return float(np.maximum(steps, 0).sum()) / len(steps) / self.range


def loss_of(evidence: Evidence, run: str, min_epochs: int) -> Loss | None:
    """None for a run that is shorter, or whose loss is not finite or never changes."""
    if epochs_of(evidence, run) < min_epochs:
        return None
    history = evidence.history[run]
    loss = history.get("loss", np.array([np.nan]))
    if not np.isfinite(loss).all() or np.ptp(loss) == 0:
        return None
    return Loss(history["epoch"], loss)


# --- C3 ---------------------------------------------------------------------------------------


def c3(evidence: Evidence) -> Claim:
    least = evidence.results.params.claims.C3
    early = f"{100 * least.early:g} %"
    return Claim(
        "C3",
        "SimCLR's loss falls fast, then oscillates on a plateau without a gain in accuracy.",
        f"Of each SimCLR run of at least {least.min_epochs} epochs: the first {early} of the epochs "
        f"must hold more than {100 * least.fall:g} % of the loss's fall from its first epoch to its "
        f"lowest; after them more than {100 * least.oscillation:g} % of the steps from one epoch to "
        "the next must go up; and validation accuracy (mean over k-NN and online probe on the "
        f"scored sets, curves of at least {least.min_points} measurements) must gain less than "
        f"{least.flat:g} points. All three are means over runs.",
        _plateau(evidence),
    )


def _plateau(evidence: Evidence) -> Found:
    least = evidence.results.params.claims.C3
    rows: dict[str, tuple[float, float, float, float]] = {}
    for run, made in evidence.made.items():
        loss = loss_of(evidence, run, least.min_epochs) if made["method"] == "simclr" else None
        if loss is None:
            continue
        by = least.early * float(loss.epochs[-1])
        steps = loss.steps_after(by)
        measured = curves(evidence, run, least.min_points, by, from_untrained=False)
        if measured:
            rows[run] = (
                100 * loss.fallen_by(by),
                100 * float((steps > 0).mean()),
                mean_change(measured, by),
                float(loss.values[-1]),
            )
    if not rows:
        return missing(
            f"no SimCLR run has {least.min_epochs} epochs with a finite loss and "
            f"{least.min_points} measurements of its validation accuracy",
            FIGURE,
        )
    fall, up, gain, _ = (list(column) for column in zip(*rows.values(), strict=True))
    early = f"{100 * least.early:g} %"
    effect = mean_of(gain, evidence.confidence, "points")
    return Found(
        [
            above(
                mean_of(fall, evidence.confidence, "%"),
                100 * least.fall,
                f"the first {early} of the epochs hold {{}} of the loss's fall",
            ),
            above(
                mean_of(up, evidence.confidence, "%"),
                100 * least.oscillation,
                "of the later steps the share that goes up is {}",
            ),
            below(effect, least.flat, "the later gain in accuracy is {}"),
        ],
        effect,
        list(rows),
        FIGURE,
        [f"The effect is the gain in accuracy after {early} of the epochs."],
        Table(
            ["run", f"fall in the first {early}", "later steps up", "later gain", "last loss"],
            [
                [f"`{run}`", f"{a:.1f} %", f"{b:.1f} %", f"{c:+.2f}", f"{d:.3f}"]
                for run, (a, b, c, d) in rows.items()
            ],
            "lrrrr",
        ),
    )


# --- C4, C5 -----------------------------------------------------------------------------------


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
        above(effect, 0, f"the unrest of BYOL minus that of {METHODS[other]} is {{}} an epoch")
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
        above(effect, 0, f"the unrest of {METHODS[other]} minus that of MoCo is {{}} an epoch")
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
        above(mean_of(after, evidence.confidence, UNREST), 0, "later MoCo's loss falls by {}"),
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
        [f"The effect is {what}, an epoch.", *words],
        Table(
            ["method", "run", "unrest an epoch"],
            [
                [METHODS[method], f"`{run}`", f"{value:.3f} % of its range"]
                for method, values in unrest.items()
                for run, value in values.items()
            ],
            "llr",
        ),
    )
