"""C6 to C9: methods, backbones, local crops and corpora."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sslpipe.reporting.claims.claim import Found, Part, above, at_least, below
from sslpipe.reporting.claims.comparison import Ground, Pair
from sslpipe.reporting.claims.evidence import Evidence
from sslpipe.reporting.claims.groups import METHODS, NAMED, same_budget
from sslpipe.reporting.markdown import listed
from sslpipe.reporting.settings import Setting
from sslpipe.schema.report import ByBackbone, ByCorpus, ByCrops, ByMethod

CROPS = ("views.local", "views.local_size", "views.local_scale")


# --- C6: methods ------------------------------------------------------------------------------


def methods(evidence: Evidence, least: ByMethod, *, method: str) -> Found:
    ground = Ground(evidence, least, "probe_top1", "method")
    compared: dict[str, list[Pair]] = {other: [] for other in METHODS if other != method}
    tried = dict.fromkeys(METHODS, 0)
    for group in same_budget(evidence, ground.scored):
        by = {m: [s for s in group if evidence.keys(s)["method"] == m] for m in METHODS}
        if not all(by.values()):
            continue
        best = {m: _best_on_validation(evidence, some, ground.sets) for m, some in by.items()}
        for other, pairs in compared.items():
            pairs.append(Pair(best[method], best[other]))
        tried = {m: tried[m] + len(some) for m, some in by.items()}
    if not any(tried.values()):
        return ground.missing(f"there is no budget at which {NAMED} were all trained and scored")
    parts = [
        at_least(
            ground.effect(pairs),
            least.margin,
            f"{METHODS[method]} minus {METHODS[other]} is {{}} in probe top-1",
        )
        for other, pairs in compared.items()
    ]
    numbers = ", ".join(f"{METHODS[m]} {number}" for m, number in tried.items())
    return ground.found(
        parts,
        compared,
        "the smaller of the two differences",
        [f"Settings from which the best were chosen: {numbers}."],
    )


def _best_on_validation(
    evidence: Evidence, candidates: Sequence[Setting], sets: Sequence[str]
) -> Setting:
    """The first of those with the highest probe on validation, mean over data sets and seeds."""
    metrics = evidence.results.metrics

    def score(setting: Setting) -> float:
        of_sets = [
            np.mean([metrics[d, run]["probe_val_top1"] for run in evidence.runs(setting, d)])
            for d in sets
        ]
        return float(np.mean(of_sets))

    return max(candidates, key=score)


# --- C7: backbones ----------------------------------------------------------------------------


def backbones(evidence: Evidence, least: ByBackbone) -> Found:
    ground = Ground(evidence, least, "probe_top1", "backbone")
    of_method = [s for s in ground.scored if evidence.keys(s)["method"] == least.method]
    groups = [
        {evidence.keys(setting)["backbone"]: setting for setting in group}
        for group in evidence.equal_but_for(of_method, lambda key: key == "backbone")
    ]
    compared, parts = {}, []
    for larger, smaller in zip(least.order, least.order[1:], strict=False):
        pairs = [Pair(by[larger], by[smaller]) for by in groups if larger in by and smaller in by]
        if pairs:
            compared[f"{larger} {smaller}"] = pairs
            what = f"`{larger}` minus `{smaller}` is {{}} in probe top-1"
            parts.append(above(ground.effect(pairs), least.min_effect, what))
        else:
            why = (
                f"no two runs of `{least.method}` that differ in nothing but `{larger}` and "
                f"`{smaller}` are scored on {listed(ground.sets or ground.wanted)}"
            )
            parts.append(Part(None, why))
    if not compared:
        return Found(parts, figure=ground.figure(evidence.made))
    return ground.found(parts, compared, "the smallest difference of two neighbours")


# --- C8: local crops --------------------------------------------------------------------------


def crops(evidence: Evidence, least: ByCrops) -> Found:
    ground = Ground(evidence, least, "knn_top1", "views.local")
    pairs = [
        Pair(one, other)
        for group in evidence.equal_but_for(ground.scored, lambda key: key in CROPS)
        for other in group
        if not evidence.keys(other)["views.local"]
        for one in group
        if evidence.keys(one)["views.local"]
    ]
    if not pairs:
        return ground.missing("no two runs that differ in nothing but local crops are scored")
    return ground.found(
        [above(ground.effect(pairs), least.min_effect, "local crops change k-NN top-1 by {}")],
        {"crops": pairs},
        "the difference, with local crops minus without,",
    )


# --- C9: corpora ------------------------------------------------------------------------------


class Step(NamedTuple):
    """From a corpus to a larger one that holds it. added: the data sets that come with it."""

    pair: Pair
    added: frozenset[str]


def corpora(evidence: Evidence, least: ByCorpus) -> Found:
    ground = Ground(evidence, least, "probe_top1", "corpus")
    steps = _steps(evidence, ground.scored)
    if not steps:
        return ground.missing(
            "no two runs that differ in nothing but a corpus, one holding the other, are scored"
        )
    pairs = [step.pair for step in steps]
    what = "a larger corpus changes probe top-1 by {}"
    parts = [above(ground.effect(pairs), least.min_effect, what)]
    for name in dict.fromkeys([*least.modest, *least.mainly]):
        adding = [step.pair for step in steps if step.added == {name}]
        if not adding:
            parts.append(Part(None, f"no two runs differ in nothing but the images of `{name}`"))
            continue
        if name in least.modest:
            parts.append(below(ground.effect(adding), least.modest[name], f"`{name}` brings {{}}"))
        if name in least.mainly:
            parts.append(_mainly(ground, adding, name, least.mainly[name]))
    return ground.found(
        parts,
        {"corpora": pairs},
        "the difference, larger corpus minus smaller,",
        [
            "As many epochs of a larger corpus are more steps, so the difference is that of images "
            "and steps together."
        ],
    )


def _mainly(ground: Ground, adding: Sequence[Pair], name: str, where: Sequence[str]) -> Part:
    there = [dataset for dataset in ground.sets if dataset in where]
    elsewhere = [dataset for dataset in ground.sets if dataset not in where]
    if not there or not elsewhere:
        return Part(None, f"there are no scores on {listed(where)} and elsewhere")
    more = ground.gain(adding, there, "probe_top1") - ground.gain(adding, elsewhere, "probe_top1")
    return above(
        more.effect(ground.evidence.confidence),
        0,
        f"`{name}` brings on {listed(there)} {{}} more than elsewhere",
    )


def _steps(evidence: Evidence, scored: Sequence[Setting]) -> list[Step]:
    """Each corpus against the largest of those within it."""
    corpora = {
        name: frozenset(corpus.datasets) for name, corpus in evidence.results.params.corpora.items()
    }
    steps = []
    for group in evidence.equal_but_for(scored, lambda key: key == "corpus"):
        held = {
            setting: corpora[corpus]
            for setting in group
            if (corpus := evidence.keys(setting)["corpus"]) in corpora
        }
        for larger, whole in held.items():
            within = {setting: part for setting, part in held.items() if part < whole}
            steps += [
                Step(Pair(larger, smaller), whole - part)
                for smaller, part in within.items()
                if not any(part < other for other in within.values())
            ]
    return steps
