"""C11: does a lower loss mean better features?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from sslpipe.reporting import statistics
from sslpipe.reporting.claims.claim import Effect, Found, Table, above, missing
from sslpipe.reporting.claims.evidence import Evidence
from sslpipe.reporting.claims.groups import METHODS, same_loss
from sslpipe.reporting.markdown import listed
from sslpipe.reporting.settings import Setting
from sslpipe.schema.report import LossAlone

FIGURE = "loss"
SHOWN = 10  # discordant pairs in the table


class Losses(NamedTuple):
    """Settings whose losses measure the same, with their last loss (mean over seeds)."""

    settings: list[Setting]
    loss: list[float]


def discordance(evidence: Evidence, least: LossAlone) -> Found:
    sets = evidence.sets()
    groups = _groups(evidence, sets)
    pairs = [
        (a, b) if loss_a < loss_b else (b, a)  # the lower loss first
        for group in groups
        for (a, loss_a), (b, loss_b) in combinations(zip(*group, strict=True), 2)
        if loss_a != loss_b
    ]
    if not pairs:
        return missing("no two scored settings have losses that can be compared", FIGURE)
    over = {s: evidence.over(s, sets, "probe_top1") for group in groups for s in group.settings}
    gains = [over[lower] - over[higher] for lower, higher in pairs]
    ends = [statistics.interval(gain.draws, evidence.confidence) for gain in gains]
    clear = [i for i, (low, high) in enumerate(ends) if low > 0 or high < 0]
    told = f"{len(clear)} of {len(pairs)} pairs of settings can be told apart"
    if len(clear) < least.min_pairs:
        return missing(f"{told}, fewer than {least.min_pairs}", FIGURE)
    # Of the pairs, not of the images: each pair that counts is clear on the images it rests on.
    against = sum(gains[i].value < 0 for i in clear)
    least_share, most_share = statistics.clopper_pearson(against, len(clear), evidence.confidence)
    effect = Effect(100 * against / len(clear), 100 * least_share, 100 * most_share, "%")
    worst = sorted((i for i in clear if gains[i].value < 0), key=lambda i: gains[i].value)
    last = {s: loss for group in groups for s, loss in zip(*group, strict=True)}
    return Found(
        [
            above(
                effect,
                100 * least.discordant,
                f"in {{}} of {len(clear)} pairs the lower loss goes with the lower accuracy",
            )
        ],
        effect,
        evidence.all_runs([s for i in clear for s in pairs[i]], sets),
        FIGURE,
        [
            f"{told} on {listed(sets)}; the effect is the share of them in which the lower loss "
            "scores lower, its interval the exact binomial one over these pairs.",
            *_correlations(evidence, groups, {s: estimate.value for s, estimate in over.items()}),
            *([f"Below: {SHOWN} of the {len(worst)} such pairs."] if len(worst) > SHOWN else []),
        ],
        Table(
            ["run", "loss", "against", "loss", "probe top-1, points"],
            [
                [
                    f"`{lower.name}`",
                    f"{last[lower]:.4f}",
                    f"`{higher.name}`",
                    f"{last[higher]:.4f}",
                    gains[i].effect(evidence.confidence).bare,
                ]
                for i in worst[:SHOWN]
                for lower, higher in [pairs[i]]
            ],
            "lrlrr",
        )
        if worst
        else None,
    )


def _groups(evidence: Evidence, sets: Sequence[str]) -> list[Losses]:
    groups = []
    for group in same_loss(evidence, evidence.scored(sets)):
        lasts: list[tuple[Setting, list[Any]]] = [
            (s, [evidence.made[run].get("final_loss") for run in s.runs]) for s in group
        ]
        known = [
            (s, float(np.mean(values)))
            for s, values in lasts
            if all(value is not None and math.isfinite(value) for value in values)
        ]
        if len(known) > 1:
            groups.append(Losses([s for s, _ in known], [loss for _, loss in known]))
    return groups


def _correlations(
    evidence: Evidence, groups: Sequence[Losses], accuracy: dict[Setting, float]
) -> list[str]:
    """Kendall's tau of loss and accuracy; -1 where a lower loss always scores higher."""
    lines = []
    for settings, loss in groups:
        tau = stats.kendalltau(loss, [accuracy[s] for s in settings]).statistic
        method = evidence.keys(settings[0])["method"]
        if len(settings) > 2 and math.isfinite(tau):
            lines.append(
                f"{METHODS.get(method, method)}, {len(settings)} settings like "
                f"`{settings[0].name}`: Kendall's tau of loss and accuracy {tau:+.2f} (-1: a lower "
                "loss always scores higher)."
            )
    return lines
