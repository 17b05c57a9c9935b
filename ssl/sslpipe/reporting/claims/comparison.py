"""Pairs of settings on the same test images: the difference, how sure it is, and its table.

Every interval is a paired bootstrap over the images of each data set, averaged over data sets and
pairs. A setting of several seeds counts with their mean, so intervals cover images, not seeds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sslpipe.reporting.claims.claim import Effect, Found, Part, Table, missing
from sslpipe.reporting.claims.evidence import NAMES, Estimate, Evidence, mean
from sslpipe.reporting.markdown import listed
from sslpipe.reporting.settings import Setting
from sslpipe.schema.report import ByMethod, Comparison


class Pair(NamedTuple):
    """better: the one that the claim says scores higher."""

    better: Setting
    other: Setting


@dataclass(frozen=True, eq=False)
class Ground:
    """Where a claim is decided. least: its data sets (none for all) and the number of scored runs
    without which a setting decides nothing; score: a key of NAMES; x: the setting that the pairs differ
    in, and by which a study may show them."""

    evidence: Evidence
    least: ByMethod | Comparison
    score: str
    x: str

    @property
    def wanted(self) -> list[str]:
        return list(self.least.data_sets or self.evidence.results.datasets)

    @property
    def sets(self) -> list[str]:
        """Those of the wanted ones that any trained run is scored on."""
        return self.evidence.sets(self.least.data_sets)

    @property
    def scored(self) -> list[Setting]:
        """The settings that are scored on each of them."""
        return self.evidence.scored(self.sets)

    def gain(self, pairs: Sequence[Pair], sets: Sequence[str], score: str) -> Estimate:
        """Better minus other, mean over the pairs and data sets."""
        over = self.evidence.over
        return mean([over(p.better, sets, score) - over(p.other, sets, score) for p in pairs])

    def effect(self, pairs: Sequence[Pair]) -> Effect:
        gain = self.gain(pairs, self.sets, self.score)
        return gain.effect(self.evidence.confidence)

    def figure(self, runs: Collection[str]) -> str:
        """That of a study of some of these runs by the setting, or of all runs' accuracy."""
        for name, study in self.evidence.results.params.studies.items():
            if study.x in (self.x, [self.x]) and set(study.runs) & set(runs):
                return f"study_{name}"
        return "accuracy"

    def missing(self, why: str) -> Found:
        """Nothing to compare. why: goes before the names of the data sets."""
        where = listed(self.sets or self.wanted)
        return missing(f"{why} on {where}", self.figure(self.evidence.made))

    def found(
        self,
        parts: Sequence[Part],
        compared: Mapping[str, Sequence[Pair]],
        what: str,
        details: Sequence[str] = (),
    ) -> Found:
        """The effect is the smallest of those compared; what: which difference that is."""
        evidence, sets = self.evidence, self.sets
        pairs = [pair for some in compared.values() for pair in some]
        chosen = list(dict.fromkeys(setting for pair in pairs for setting in pair))
        runs = evidence.all_runs(chosen, sets)
        unscored = [dataset for dataset in self.wanted if dataset not in sets]
        lines = [
            f"The effect is {what} in {NAMES[self.score]}, mean over {listed(sets)}; its interval is "
            "over test images.",
            *details,
            *([f"No trained run is scored on {listed(unscored)}."] if unscored else []),
            *evidence.seeds(chosen, sets, self.score),
        ]
        effects = [self.effect(some) for some in compared.values()]
        return Found(
            self._decidable(parts, chosen),
            min(effects, key=lambda effect: effect.value),
            runs,
            self.figure(runs),
            lines,
            Table(
                ["data set", "run", "minus", *(f"{NAMES[score]}, points" for score in NAMES)],
                [
                    [
                        f"`{dataset}`",
                        f"`{pair.better.name}`",
                        f"`{pair.other.name}`",
                        *(self._cell(pair, dataset, score) for score in NAMES),
                    ]
                    for dataset in sets
                    for pair in pairs
                ],
                "lllrr",
            ),
        )

    def _decidable(self, parts: Sequence[Part], chosen: Sequence[Setting]) -> list[Part]:
        """The parts, or all of them open where a setting has too few seeds."""
        few = [
            setting.name
            for setting in chosen
            if min(len(self.evidence.runs(setting, d)) for d in self.sets) < self.least.min_seeds
        ]
        if not few:
            return list(parts)
        why = (
            f"the interval is over images alone, and {listed(few)} {'has' if len(few) == 1 else 'have'} "
            f"not the {self.least.min_seeds} seeds that tell how much is luck of the draw"
        )
        return [*(Part(None, part.says) for part in parts), Part(None, why)]

    def _cell(self, pair: Pair, dataset: str, score: str) -> str:
        return self.gain([pair], [dataset], score).effect(self.evidence.confidence).bare
