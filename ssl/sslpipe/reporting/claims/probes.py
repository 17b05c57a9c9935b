"""C10: what a grid of probes gains over the default probe."""

from __future__ import annotations

import math
from collections import Counter

from sslpipe.reporting.claims.claim import Found, Part, Table, between, missing
from sslpipe.reporting.claims.evidence import Evidence, mean
from sslpipe.schema.report import GridGain

FIGURE = "probe_grid"


def grid(evidence: Evidence, least: GridGain) -> Found:
    probe = evidence.results.params.evaluate.probe
    cells = [(s, d) for d in evidence.sets() for s in evidence.settings if evidence.runs(s, d)]
    if not cells:
        return missing("no trained run is scored", FIGURE)
    gains = [
        evidence.score(*cell, "probe_top1") - evidence.score(*cell, "probe_default_top1")
        for cell in cells
    ]
    effect = mean(gains).effect(evidence.confidence)
    metrics = [
        evidence.results.metrics[dataset, run]
        for setting, dataset in cells
        for run in evidence.runs(setting, dataset)
    ]
    lr, decay = (
        Counter(cell[f"probe_best_{key}"] for cell in metrics) for key in ("lr", "weight_decay")
    )
    return Found(
        [
            between(effect, least.low, least.high, "the grid's probe gains {}"),
            _most_often(lr, least.best_lr, probe.lr, "learning rate"),
            _most_often(decay, least.best_weight_decay, probe.weight_decay, "weight decay"),
        ],
        effect,
        evidence.all_runs([setting for setting, _ in cells], evidence.sets()),
        FIGURE,
        [
            "The effect is the mean gain; its interval is over test images.",
            f"Chosen learning rates: {_counts(lr)}. Chosen weight decays: {_counts(decay)}.",
        ],
        Table(
            ["data set", "runs", "mean gain, points"],
            [
                [
                    f"`{dataset}`",
                    str(sum(len(evidence.runs(*cell)) for cell in cells if cell[1] == dataset)),
                    mean(some).effect(evidence.confidence).bare,
                ]
                for dataset in evidence.sets()
                if (some := [g for g, cell in zip(gains, cells, strict=True) if cell[1] == dataset])
            ],
            "lrr",
        ),
    )


def _most_often(chosen: Counter[float], wanted: float, grid: list[float], what: str) -> Part:
    """Unknown where the grid does not hold it, or another one was chosen as often."""
    if not any(math.isclose(value, wanted) for value in grid):
        return Part(None, f"the grid has no {what} {wanted:g}")
    its = sum(number for value, number in chosen.items() if math.isclose(value, wanted))
    rest = max((n for value, n in chosen.items() if not math.isclose(value, wanted)), default=0)
    says = f"the {what} {wanted:g} was chosen in {its} of {chosen.total()} cases"
    if its == rest:
        return Part(None, f"{says}, and another as often")
    return Part(its > rest, f"{says}, {'most often' if its > rest else 'another more often'}")


def _counts(chosen: Counter[float]) -> str:
    return ", ".join(f"{value:g} ({chosen[value]}×)" for value in sorted(chosen))
