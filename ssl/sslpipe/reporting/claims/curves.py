"""C1 and C2: accuracy over pretraining, as it was measured on the val splits while training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sslpipe.reporting.claims.claim import (
    Effect,
    Found,
    Table,
    above,
    between,
    missing,
)
from sslpipe.reporting.claims.evidence import Evidence
from sslpipe.reporting.claims.intervals import mean_of
from sslpipe.reporting.words import share
from sslpipe.schema.report import Saturation, Shapes

KINDS = ("knn", "probe")


@dataclass(frozen=True, eq=False)
class Curve:
    """epochs (n,) ascending; accuracy (n,) in points."""

    epochs: np.ndarray
    accuracy: np.ndarray

    def at(self, epoch: float) -> float:
        """Linear between two measurements."""
        return float(np.interp(epoch, self.epochs, self.accuracy))

    @property
    def whole_rise(self) -> float:
        return float(self.accuracy[-1] - self.accuracy[0])

    def rise_until(self, epoch: float) -> float:
        return self.at(epoch) - float(self.accuracy[0])

    def change_from(self, epoch: float) -> float:
        return float(self.accuracy[-1]) - self.at(epoch)


def curve(evidence: Evidence, run: str, kind: str, dataset: str) -> Curve | None:
    """kind: knn or probe. None where it was not measured."""
    history = evidence.history.get(run, {})
    accuracy = history.get(f"{kind}_{dataset}", np.empty(0))
    measured = np.flatnonzero(np.isfinite(accuracy))
    if not len(measured):
        return None
    return Curve(history["epoch"][measured], 100 * accuracy[measured])


def curves(
    evidence: Evidence, run: str, min_points: int, by: float, *, from_untrained: bool
) -> list[Curve]:
    """The run's curves, k-NN and probe on each scored set, that have enough measurements, one of
    them before epoch `by`.

    from_untrained: each begins at epoch 0 with the untrained encoder of the same architecture, if
    there is one and it was measured.
    """
    untrained = _untrained(evidence, run) if from_untrained else None
    found = []
    for dataset in evidence.results.datasets:
        for kind in KINDS:
            its = curve(evidence, run, kind, dataset)
            if its is None or len(its.epochs) < min_points:
                continue
            start = curve(evidence, untrained, kind, dataset) if untrained else None
            if start is not None:
                its = Curve(np.append(0.0, its.epochs), np.append(start.accuracy[-1], its.accuracy))
            if its.epochs[0] < by:
                found.append(its)
    return found


def epochs_of(evidence: Evidence, run: str) -> int:
    """How many were trained; 0 without a history."""
    history = evidence.history.get(run)
    return int(history["epoch"][-1]) if history else 0


def mean_change(curves: Sequence[Curve], epoch: float) -> float:
    """Points from that epoch to the end, mean over the curves."""
    return float(np.mean([its.change_from(epoch) for its in curves]))


def saturation(evidence: Evidence, least: Saturation) -> Found:
    """C1: accuracy rises early and is flat late."""
    early, late = share(least.early), share(least.late)
    rises: dict[str, list[float]] = {}
    for run in evidence.made:
        epochs = epochs_of(evidence, run)
        if epochs < least.min_epochs:
            continue
        by, after = least.early * epochs, least.late * epochs
        its = curves(evidence, run, least.min_points, by, from_untrained=True)
        if its:
            each = [(c.whole_rise, c.rise_until(by), c.change_from(after)) for c in its]
            rises[run] = np.mean(each, axis=0).tolist()
    if not rises:
        return missing(
            f"no trained run has {least.min_epochs} epochs with {least.min_points} measurements "
            "of its validation accuracy",
            "accuracy",
        )
    whole, first, change = (list(column) for column in zip(*rises.values(), strict=True))
    # Both sides of "first ≥ share × whole" are uncertain; their difference needs no ratio.
    spare = [a - least.rise * b for a, b in zip(first, whole, strict=True)]
    total, margin, effect = (
        mean_of(values, evidence.confidence, "points") for values in (whole, spare, change)
    )
    return Found(
        [
            above(total, 0, "the whole rise is {}"),
            above(
                margin,
                0,
                f"the rise in the first {early} of the epochs exceeds {share(least.rise)} of "
                "the whole by {}",
            ),
            between(effect, -least.flat, least.flat, f"the change after {late} of them is {{}}"),
        ],
        effect,
        list(rises),
        "accuracy",
        [
            f"The effect is the change of accuracy after {late} of the epochs; its interval is over "
            "runs."
        ],
        Table(
            ["run", "whole rise", f"in the first {early}", f"change after {late}"],
            [[f"`{run}`", *(f"{v:+.2f}" for v in values)] for run, values in rises.items()],
            "lrrr",
        ),
    )


def shapes(evidence: Evidence, least: Shapes) -> Found:
    """C2: k-NN and online probe have curves of the same shape."""
    correlations: dict[str, list[float]] = {}
    constant = []
    for run in evidence.made:
        for dataset in evidence.results.datasets:
            knn, probe = (curve(evidence, run, kind, dataset) for kind in KINDS)
            if knn is None or probe is None:
                continue
            _, ours, theirs = np.intersect1d(knn.epochs, probe.epochs, return_indices=True)
            if len(ours) < least.min_points:
                continue
            pair = knn.accuracy[ours], probe.accuracy[theirs]
            if min(np.ptp(values) for values in pair) == 0:
                constant.append(f"`{run}` on `{dataset}`")
                continue
            correlations.setdefault(run, []).append(float(np.corrcoef(*pair)[0, 1]))
    if not correlations:
        return missing(
            f"no trained run has {least.min_points} epochs at which both k-NN and the online "
            "probe were measured, with a change in both",
            "accuracy",
        )
    means = {run: float(np.mean(values)) for run, values in correlations.items()}
    effect = _bounded(mean_of(list(means.values()), evidence.confidence, "correlation"))
    details = ["The effect is the mean correlation; its interval is over runs."]
    if constant:
        details.append(f"Left out, for a curve that never changes: {', '.join(constant)}.")
    return Found(
        [above(effect, least.correlation, "the mean correlation is {}")],
        effect,
        list(means),
        "accuracy",
        details,
        Table(
            ["run", "data sets", "correlation"],
            [[f"`{run}`", str(len(correlations[run])), f"{r:.3f}"] for run, r in means.items()],
            "lrr",
        ),
    )


def _bounded(effect: Effect) -> Effect:
    """A correlation's interval, cut off at -1 and 1."""
    if effect.low is None or effect.high is None:
        return effect
    return Effect(effect.value, max(effect.low, -1.0), min(effect.high, 1.0), effect.unit)


def _untrained(evidence: Evidence, run: str) -> str | None:
    """The first untrained encoder of the same architecture."""
    pretrain = evidence.results.pretrain

    def architecture(name: str) -> tuple[str, int, str]:
        parameters = pretrain[name]["parameters"]
        return (
            parameters["backbone"], parameters["image_size"], parameters["pretrain"]["stem"],
        )  # fmt: skip

    for name, made in pretrain.items():
        if made["method"] == "random" and architecture(name) == architecture(run):
            return name
    return None
