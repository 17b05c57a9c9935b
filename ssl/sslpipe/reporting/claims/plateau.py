"""C3: a loss that oscillates on a plateau while accuracy gains nothing."""

from __future__ import annotations

from sslpipe.reporting.claims.claim import Found, Table, above, below, missing
from sslpipe.reporting.claims.curves import curves, mean_change
from sslpipe.reporting.claims.evidence import Evidence
from sslpipe.reporting.claims.groups import METHODS
from sslpipe.reporting.claims.intervals import mean_of
from sslpipe.reporting.claims.losses import FIGURE, loss_of
from sslpipe.reporting.words import share
from sslpipe.schema.report import Plateau


def plateau(evidence: Evidence, least: Plateau, *, method: str) -> Found:
    rows: dict[str, tuple[float, float, float, float]] = {}
    for run, made in evidence.made.items():
        loss = loss_of(evidence, run, least.min_epochs) if made["method"] == method else None
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
            f"no {METHODS[method]} run has {least.min_epochs} epochs with a finite loss and "
            f"{least.min_points} measurements of its validation accuracy",
            FIGURE,
        )
    fall, up, gain, _ = (list(column) for column in zip(*rows.values(), strict=True))
    early = share(least.early)
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
        [
            f"The effect is the gain in accuracy after {early} of the epochs; its interval is over runs."
        ],
        Table(
            ["run", f"fall in the first {early}", "later steps up", "later gain", "last loss"],
            [
                [f"`{run}`", f"{a:.1f} %", f"{b:.1f} %", f"{c:+.2f}", f"{d:.3f}"]
                for run, (a, b, c, d) in rows.items()
            ],
            "lrrrr",
        ),
    )
