"""The study's claims, each with the rule that decides it; docs/claims.md says more of each.

`decide` makes one plain dictionary of all of them, reports/claims.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from sslpipe.params import Params
from sslpipe.reporting.claims.claim import Claim, Found, points
from sslpipe.reporting.claims.comparisons import backbones, corpora, crops, methods
from sslpipe.reporting.claims.curves import saturation, shapes
from sslpipe.reporting.claims.evidence import Evidence
from sslpipe.reporting.claims.loss_alone import discordance
from sslpipe.reporting.claims.plateau import plateau
from sslpipe.reporting.claims.probes import grid
from sslpipe.reporting.claims.stability import stability
from sslpipe.reporting.markdown import listed
from sslpipe.reporting.results import Results
from sslpipe.reporting.words import share


class Rule(NamedTuple):
    """claim: the study's words, shortened; says: when it holds, given its thresholds and params.yaml;
    find: what the data say, given the thresholds."""

    id: str
    claim: str
    says: Callable[[Any, Params], str]
    find: Callable[[Evidence, Any], Found]


def decide(results: Results, made_by: Mapping[str, Any]) -> dict[str, Any]:
    """What the trained runs say of each claim, whatever is missing.

    Raises UserError when runs of a data set were scored on different images.
    """
    evidence, params = Evidence(results), results.params
    claims = []
    for rule in RULES:
        least = getattr(params.claims, rule.id)
        found = rule.find(evidence, least)
        claims.append(Claim(rule.id, rule.claim, rule.says(least, params), found))
    return {"made_by": dict(made_by), "claims": [claim.as_json() for claim in claims]}


def _unrest(c: Any) -> str:
    return (
        f"Unrest is how much the loss climbs an epoch in the last {share(c.tail)} of the epochs: its "
        "upward steps from one epoch to the next added up, divided by the number of steps and by "
        "the range of the whole loss, highest minus lowest. Compared are runs of at least "
        f"{c.min_epochs} epochs at budgets at which all three methods were trained."
    )


def _where(named: Sequence[str]) -> str:
    return listed(named) if named else "all scored data sets"


def _seeds(number: int) -> str:
    return f" Each setting needs {number} scored seeds." if number > 1 else ""


def _of_single_sets(c: Any) -> str:
    modest = (
        f" Adding `{name}` alone must bring less than {points(most)}."
        for name, most in c.modest.items()
    )
    mainly = (
        f" Adding `{name}` alone must bring more on {listed(where)} than elsewhere."
        for name, where in c.mainly.items()
    )
    return "".join([*modest, *mainly])


RULES = (
    Rule(
        "C1",
        "Accuracy rises steeply in the first 20 to 40 of 100 epochs and is flat after about 50.",
        lambda c, _: (
            f"Of each trained run of at least {c.min_epochs} epochs: the mean of its validation "
            f"curves (k-NN and online probe on each scored set, of at least {c.min_points} "
            "measurements), from the untrained encoder of its architecture where there is one. The "
            f"mean over runs must rise, at least {share(c.rise)} of the rise must fall into the first "
            f"{share(c.early)} of the epochs, and after {share(c.late)} of them the accuracy must "
            f"change by less than {points(c.flat)}."
        ),
        saturation,
    ),
    Rule(
        "C2",
        "The curves of k-NN and of the online linear probe have the same shape.",
        lambda c, _: (
            "Of each trained run: Pearson's correlation of the two validation curves over the epochs "
            f"at which both were measured (at least {c.min_points}), mean over the scored sets. "
            f"The mean over runs must be above {c.correlation:g}."
        ),
        shapes,
    ),
    Rule(
        "C3",
        "SimCLR's loss falls fast, then oscillates on a plateau without a gain in accuracy.",
        lambda c, _: (
            f"Of each SimCLR run of at least {c.min_epochs} epochs: the first {share(c.early)} of the "
            f"epochs must hold more than {share(c.fall)} of the loss's fall from its first epoch to its "
            f"lowest; after them more than {share(c.oscillation)} of the steps from one epoch to "
            "the next must go up; and validation accuracy (mean over k-NN and online probe on the "
            f"scored sets, curves of at least {c.min_points} measurements) must gain less than "
            f"{points(c.flat)}. All three are means over runs."
        ),
        partial(plateau, method="simclr"),
    ),
    Rule(
        "C4",
        "BYOL's loss does not settle; it is the least stable of the three.",
        lambda c, _: f"{_unrest(c)} BYOL's mean unrest must be above SimCLR's and above MoCo's.",
        partial(stability, method="byol", restless=True),
    ),
    Rule(
        "C5",
        "MoCo's loss falls fast, then slowly; it is the most stable of the three.",
        lambda c, _: (
            f"{_unrest(c)} MoCo's mean unrest must be below SimCLR's and "
            f"below BYOL's. The first {share(c.early)} of the epochs must hold more than "
            f"{share(c.fall)} of the fall of MoCo's loss from its first epoch to its lowest, and "
            "after them it must fall on."
        ),
        partial(stability, method="moco", restless=False),
    ),
    Rule(
        "C6",
        "MoCo is at least as good as SimCLR and BYOL in downstream accuracy at the same budget.",
        lambda c, _: (
            "At each budget (settings equal in everything but the method, its own settings and how its "
            "training is tuned) at which all three were trained and scored: of each method the setting "
            "of the best mean probe score on validation images. MoCo's probe top-1 on "
            f"{_where(c.data_sets)}, mean over budgets, minus SimCLR's and minus BYOL's: neither "
            f"interval may lie below 0, and both must lie above {points(-c.margin)}."
            f"{_seeds(c.min_seeds)}"
        ),
        partial(methods, method="moco"),
    ),
    Rule(
        "C7",
        "A larger backbone scores higher with MoCo: ResNet-101 > Wide-ResNet-50-2 > ResNet-50.",
        lambda c, _: (
            f"Settings of `{c.method}` that are equal but for the backbone, in the order "
            f"{' > '.join(f'`{name}`' for name in c.order)}: the difference of each two neighbours in "
            f"probe top-1, mean over such pairs and over {_where(c.data_sets)}, must be above "
            f"{points(c.min_effect)}.{_seeds(c.min_seeds)}"
        ),
        backbones,
    ),
    Rule(
        "C8",
        "Local crops raise k-NN accuracy noticeably.",
        lambda c, _: (
            "Settings with local crops, each against the one without that is equal in all else: the "
            f"difference in k-NN top-1, mean over such pairs and over {_where(c.data_sets)}, must "
            f"be above {points(c.min_effect)}.{_seeds(c.min_seeds)}"
        ),
        crops,
    ),
    Rule(
        "C9",
        "More, and more diverse, pretraining images raise accuracy.",
        lambda c, _: (
            "Settings that are equal but for the corpus, each against that of the next smaller corpus, "
            "all of whose data sets it holds: the difference in probe top-1, mean over such pairs and "
            f"over {_where(c.data_sets)}, must be above {points(c.min_effect)}."
            f"{_seeds(c.min_seeds)}{_of_single_sets(c)}"
        ),
        corpora,
    ),
    Rule(
        "C10",
        "A grid search of the linear probe beats the default probe by 5 to 15 points; its best "
        "learning rate is 0.01, its best weight decay 0.",
        lambda c, params: (
            f"The chosen probe of the grid ({params.evaluate.probe.epochs} epochs) minus the default "
            f"probe (lr {params.evaluate.probe.default.lr:g}, "
            f"{params.evaluate.probe.default.epochs} epochs) in top-1, mean over trained settings "
            f"and scored data sets, must lie between {c.low:g} and {c.high:g} points. The "
            f"learning rate {c.best_lr:g} and the weight decay {c.best_weight_decay:g} must be "
            "chosen more often than any other of the grid."
        ),
        grid,
    ),
    Rule(
        "C11",
        "A lower loss alone does not mean better features.",
        lambda c, _: (
            "Pairs of settings whose losses measure the same (the same method, corpus, temperature, "
            "negatives, batch and views) and whose probe top-1, mean over the scored data sets, can be "
            f"told apart: of at least {c.min_pairs} such pairs, in more than "
            f"{share(c.discordant)} the setting with the lower final loss must score lower."
        ),
        discordance,
    ),
)
