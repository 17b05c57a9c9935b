"""C3: a loss that oscillates on a plateau while accuracy gains nothing."""

from __future__ import annotations

from sslpipe.reporting.claims.claim import Claim, Found, Table, above, below, missing, points
from sslpipe.reporting.claims.curves import curves, mean_change
from sslpipe.reporting.claims.evidence import Evidence
from sslpipe.reporting.claims.intervals import mean_of
from sslpipe.reporting.claims.losses import FIGURE, loss_of


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
        f"{points(least.flat)}. All three are means over runs.",
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
