"""C6 to C9: one kind of setting against another, on the same test images.

Every interval is a paired bootstrap over the images of each data set, averaged over data sets and
pairs of settings; a setting of several seeds counts with their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sslpipe.reporting.claims.claim import (
    Claim,
    Effect,
    Found,
    Part,
    Table,
    above,
    at_least,
    below,
    missing,
)
from sslpipe.reporting.claims.evidence import NAMES, Estimate, Evidence, mean
from sslpipe.reporting.claims.groups import METHODS, same_budget
from sslpipe.reporting.settings import Setting


class Pair(NamedTuple):
    """better: the one that the claim says scores higher."""

    better: Setting
    other: Setting


def difference(
    evidence: Evidence, pairs: Sequence[Pair], sets: Sequence[str], score: str
) -> Estimate:
    """Better minus other, mean over pairs and data sets."""
    return mean(
        [
            evidence.over(pair.better, sets, score) - evidence.over(pair.other, sets, score)
            for pair in pairs
        ]
    )


# --- C6: methods ------------------------------------------------------------------------------


def c6(evidence: Evidence) -> Claim:
    least = evidence.results.params.claims.C6
    return Claim(
        "C6",
        "MoCo is at least as good as SimCLR and BYOL in downstream accuracy at the same budget.",
        "At each budget (equal in everything but the method, its settings and how its training is "
        "tuned) at which all three were trained and scored: of each method the setting of the best "
        f"mean probe score on validation images. MoCo's probe top-1 on {_over(least.data_sets)}, "
        "mean over budgets, minus SimCLR's and minus BYOL's: neither interval may lie below 0, and "
        f"both must lie above {-least.margin:g} points, which counts as equal.",
        _methods(evidence),
    )


def _methods(evidence: Evidence) -> Found:
    least = evidence.results.params.claims.C6
    sets = evidence.sets(least.data_sets)
    chosen, tried = [], dict.fromkeys(METHODS, 0)
    for group in same_budget(evidence, evidence.scored(sets)):
        by = {
            method: [s for s in group if evidence.keys(s)["method"] == method]
            for method in METHODS
        }
        if all(by.values()):
            chosen.append({m: _best_on_validation(evidence, by[m], sets) for m in by})
            tried = {method: tried[method] + len(by[method]) for method in by}
    if not chosen:
        return missing(
            f"there is no budget at which SimCLR, MoCo and BYOL were all trained and scored on "
            f"{_list(sets or least.data_sets or evidence.results.datasets)}",
            evidence.study("method", list(evidence.made), "accuracy"),
        )
    pairs = {
        other: [Pair(best["moco"], best[other]) for best in chosen] for other in ("simclr", "byol")
    }
    effects = _effects(evidence, pairs, sets, "probe")
    parts = [
        at_least(effect, least.margin, f"MoCo minus {METHODS[other]} is {{}} in probe top-1")
        for other, effect in effects.items()
    ]
    said = [
        "Settings that the best one was chosen from: "
        + ", ".join(f"{METHODS[method]} {count}" for method, count in tried.items())
        + "."
    ]
    smallest = "MoCo minus the better of the others"
    return _found(
        evidence, parts, effects, pairs, sets, "probe", ("method", "accuracy"), smallest, said
    )


def _best_on_validation(
    evidence: Evidence, candidates: Sequence[Setting], sets: Sequence[str]
) -> Setting:
    """The first of those with the best probe on validation, mean over seeds and data sets."""

    def score(setting: Setting) -> float:
        metrics = evidence.results.metrics
        return float(
            np.mean(
                [
                    np.mean([metrics[d, r]["probe_val_top1"] for r in evidence.runs(setting, d)])
                    for d in sets
                ]
            )
        )

    return max(candidates, key=score)


# --- C7: backbones ----------------------------------------------------------------------------


def c7(evidence: Evidence) -> Claim:
    least = evidence.results.params.claims.C7
    order = " > ".join(f"`{name}`" for name in least.order)
    return Claim(
        "C7",
        "A larger backbone scores higher: ResNet-101 > Wide-ResNet-50-2 > ResNet-50, with MoCo.",
        f"Settings of `{least.method}` that are equal but for the backbone, in the order {order}: "
        f"the difference of each two neighbours in probe top-1, mean over such pairs and over "
        f"{_over(least.data_sets)}, must be above {least.min_effect:g} points.",
        _backbones(evidence),
    )


def _backbones(evidence: Evidence) -> Found:
    least = evidence.results.params.claims.C7
    sets = evidence.sets(least.data_sets)
    of_method = [s for s in evidence.scored(sets) if evidence.keys(s)["method"] == least.method]
    neighbours = list(zip(least.order, least.order[1:], strict=False))
    pairs: dict[tuple[str, str], list[Pair]] = {both: [] for both in neighbours}
    for group in evidence.equal_but_for(of_method, lambda key: key == "backbone"):
        by = {evidence.keys(setting)["backbone"]: setting for setting in group}
        for larger, smaller in neighbours:
            if larger in by and smaller in by:
                pairs[larger, smaller].append(Pair(by[larger], by[smaller]))
    there = {both: some for both, some in pairs.items() if some}
    effects = _effects(evidence, there, sets, "probe")
    where = _list(sets or least.data_sets or evidence.results.datasets)
    parts = [
        above(
            effects[larger, smaller],
            least.min_effect,
            f"`{larger}` minus `{smaller}` is {{}} in probe top-1",
        )
        if (larger, smaller) in there
        else Part(
            None,
            f"no two runs of `{least.method}`, scored on {where}, differ in nothing but `{larger}` "
            f"and `{smaller}`",
        )
        for larger, smaller in neighbours
    ]
    return _found(
        evidence,
        parts,
        effects,
        there,
        sets,
        "probe",
        ("backbone", "accuracy"),
        "the smallest difference of two neighbours",
    )


# --- C8: local crops --------------------------------------------------------------------------


def c8(evidence: Evidence) -> Claim:
    least = evidence.results.params.claims.C8
    return Claim(
        "C8",
        "Local crops raise k-NN accuracy noticeably.",
        "Settings with local crops, each against the one without that is equal in all else: the "
        f"difference in k-NN top-1, mean over such pairs and over {_over(least.data_sets)}, must be "
        f"above {least.min_effect:g} points.",
        _crops(evidence),
    )


def _crops(evidence: Evidence) -> Found:
    least = evidence.results.params.claims.C8
    sets = evidence.sets(least.data_sets)
    keys = ("views.local", "views.local_size", "views.local_scale")
    pairs = [
        Pair(with_crops, without)
        for group in evidence.equal_but_for(evidence.scored(sets), lambda key: key in keys)
        for without in group
        if not evidence.keys(without)["views.local"]
        for with_crops in group
        if evidence.keys(with_crops)["views.local"]
    ]
    if not pairs:
        return missing(
            "no two runs that differ in nothing but local crops are scored on "
            f"{_list(sets or least.data_sets or evidence.results.datasets)}",
            evidence.study("views.local", list(evidence.made), "accuracy"),
        )
    by = {"crops": pairs}
    effects = _effects(evidence, by, sets, "knn")
    parts = [above(effects["crops"], least.min_effect, "local crops change k-NN top-1 by {}")]
    what = "with local crops minus without"
    return _found(evidence, parts, effects, by, sets, "knn", ("views.local", "accuracy"), what)


# --- C9: corpora ------------------------------------------------------------------------------


class Step(NamedTuple):
    """A pair of settings and what the larger corpus holds besides."""

    pair: Pair
    added: frozenset[str]


def c9(evidence: Evidence) -> Claim:
    least = evidence.results.params.claims.C9
    rule = (
        "Settings that are equal but for the corpus, each against the one of the next smaller "
        "corpus, all of whose data sets it holds: the difference in probe top-1, mean over such "
        f"pairs and over {_over(least.data_sets)}, must be above {least.min_effect:g} points."
    )
    for name, most in least.modest.items():
        rule += f" Adding `{name}` must bring less than {most:g} points."
    for name, some in least.mainly.items():
        rule += (
            f" Adding `{name}` must bring more on {_list(some)} (mean) than on the other sets."
        )
    return Claim(
        "C9", "More, and more diverse, pretraining images raise accuracy.", rule, _corpora(evidence)
    )


def _corpora(evidence: Evidence) -> Found:
    least = evidence.results.params.claims.C9
    sets = evidence.sets(least.data_sets)
    steps = _steps(evidence, sets)
    if not steps:
        return missing(
            "no two runs that differ in nothing but a corpus that holds the other's are scored on "
            f"{_list(sets or least.data_sets or evidence.results.datasets)}",
            evidence.study("corpus", list(evidence.made), "accuracy"),
        )
    by = {"corpora": [step.pair for step in steps]}
    effects = _effects(evidence, by, sets, "probe")
    parts = [
        above(effects["corpora"], least.min_effect, "a larger corpus changes probe top-1 by {}")
    ]
    for name in dict.fromkeys([*least.modest, *least.mainly]):
        pairs = [step.pair for step in steps if name in step.added]
        if not pairs:
            parts.append(Part(None, f"no two runs differ in nothing but the images of `{name}`"))
            continue
        if name in least.modest:
            effect = difference(evidence, pairs, sets, "probe").effect(evidence.confidence)
            parts.append(below(effect, least.modest[name], f"`{name}` brings {{}}"))
        if name in least.mainly:
            parts.append(_mainly(evidence, pairs, sets, name, least.mainly[name]))
    said = [
        "As many epochs of a larger corpus are more steps: the difference is that of images and "
        "steps together."
    ]
    what = "the larger corpus minus the smaller"
    figure = ("corpus", "accuracy")
    return _found(evidence, parts, effects, by, sets, "probe", figure, what, said)


def _mainly(
    evidence: Evidence, pairs: Sequence[Pair], sets: Sequence[str], name: str, where: Sequence[str]
) -> Part:
    there = [dataset for dataset in sets if dataset in where]
    elsewhere = [dataset for dataset in sets if dataset not in where]
    if not there or not elsewhere:
        return Part(
            None,
            f"what `{name}` brings on {_list(where)} and elsewhere needs scores on both",
        )
    more = difference(evidence, pairs, there, "probe") - difference(
        evidence, pairs, elsewhere, "probe"
    )
    what = f"`{name}` brings on {_list(there)} minus elsewhere {{}}"
    return above(more.effect(evidence.confidence), 0, what)


def _steps(evidence: Evidence, sets: Sequence[str]) -> list[Step]:
    """Neighbours only: a corpus against one within it is no step if a third lies between."""
    corpora = {
        name: frozenset(corpus.datasets) for name, corpus in evidence.results.params.corpora.items()
    }
    steps = []
    for group in evidence.equal_but_for(evidence.scored(sets), lambda key: key == "corpus"):
        holds = {
            setting: corpora[corpus]
            for setting in group
            if (corpus := evidence.keys(setting)["corpus"]) in corpora
        }
        for larger, all_of in holds.items():
            within = {setting: part for setting, part in holds.items() if part < all_of}
            steps += [
                Step(Pair(larger, smaller), all_of - part)
                for smaller, part in within.items()
                if not any(part < other for other in within.values())
            ]
    return steps


# --- parts ------------------------------------------------------------------------------------


def _effects(
    evidence: Evidence, pairs: dict, sets: Sequence[str], score: str
) -> dict:
    """The same keys → the mean difference of the pairs."""
    return {
        key: difference(evidence, some, sets, score).effect(evidence.confidence)
        for key, some in pairs.items()
    }
