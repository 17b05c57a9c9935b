"""What the claims are decided on: trained runs, their settings, and their scores with how sure they
are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sslpipe.reporting import statistics
from sslpipe.reporting.claims.claim import Effect
from sslpipe.reporting.paired import Group, Sampled
from sslpipe.reporting.results import Results
from sslpipe.reporting.settings import Setting, effective, is_baseline, settings

SCORES = ("knn_top1", "probe_top1", "probe_default_top1")
NAMES = {"knn_top1": "k-NN top-1", "probe_top1": "probe top-1"}


@dataclass(frozen=True, eq=False)
class Estimate:
    """A top-1 score, or a difference or mean of some, in points, and its bootstrap draws
    (resamples,). Draws of one data set are paired: they rest on the same images."""

    value: float
    draws: np.ndarray

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(self.value - other.value, self.draws - other.draws)

    def effect(self, confidence: float) -> Effect:
        return Effect(self.value, *statistics.interval(self.draws, confidence), "points")


def mean(estimates: Sequence[Estimate]) -> Estimate:
    return Estimate(
        float(np.mean([estimate.value for estimate in estimates])),
        np.mean([estimate.draws for estimate in estimates], axis=0),
    )


@dataclass(frozen=True, eq=False)
class Evidence:
    """Trained runs alone: untrained encoders and pixels are no evidence."""

    results: Results

    @property
    def confidence(self) -> float:
        return self.results.params.report.confidence

    @cached_property
    def made(self) -> dict[str, dict[str, Any]]:
        """run → its training report."""
        return {run: made for run, made in self.results.pretrain.items() if not is_baseline(made)}

    @cached_property
    def settings(self) -> list[Setting]:
        return settings(self.made)

    @cached_property
    def _keys(self) -> dict[str, dict[str, Any]]:
        return {setting.name: effective(self.made[setting.name]) for setting in self.settings}

    def keys(self, setting: Setting) -> Mapping[str, Any]:
        """The setting's flat keys, `reporting.settings.effective`."""
        return self._keys[setting.name]

    def equal_but_for(
        self, chosen: Sequence[Setting], free: Callable[[str], bool]
    ) -> list[list[Setting]]:
        """Those that agree in every key but the seed and the free ones, together."""
        groups: dict[tuple[tuple[str, str], ...], list[Setting]] = {}
        for setting in chosen:
            bound = {
                key: repr(value)
                for key, value in self.keys(setting).items()
                if key != "seed" and not free(key)
            }
            groups.setdefault(tuple(sorted(bound.items())), []).append(setting)
        return list(groups.values())

    @cached_property
    def history(self) -> dict[str, dict[str, np.ndarray]]:
        """run, trained or not → epoch, loss and accuracies (knn_<set>, probe_<set>; fractions), each
        (epochs,), NaN where it was not measured."""
        columns = {"epoch", "loss"}
        columns |= {f"{kind}_{name}" for kind in ("knn", "probe") for name in self.results.datasets}
        return {
            run: {name: table[name].to_numpy(dtype=float) for name in table if name in columns}
            for run, table in self.results.history.items()
            if len(table)
        }

    # --- scores ---

    def sets(self, named: Sequence[str] = ()) -> list[str]:
        """The data sets named, or all, of which there are scores of a trained run."""
        return [
            dataset
            for dataset in named or self.results.datasets
            if any(self.runs(setting, dataset) for setting in self.settings)
        ]

    def runs(self, setting: Setting, dataset: str) -> Group:
        """Those of the setting's runs that were scored on the data set."""
        return tuple(run for run in setting.runs if (dataset, run) in self.results.metrics)

    def scored(self, sets: Sequence[str]) -> list[Setting]:
        """The settings that were scored on each of these data sets."""
        return [s for s in self.settings if sets and all(self.runs(s, d) for d in sets)]

    def score(self, setting: Setting, dataset: str, score: str) -> Estimate:
        """The mean over the setting's seeds. score: one of SCORES."""
        return self._estimates[setting.name, dataset, score]

    def over(self, setting: Setting, sets: Sequence[str], score: str) -> Estimate:
        """The mean over data sets."""
        return mean([self.score(setting, dataset, score) for dataset in sets])

    @cached_property
    def _estimates(self) -> dict[tuple[str, str, str], Estimate]:
        found = {}
        for place, dataset in enumerate(self.sets()):
            groups = {s.name: runs for s in self.settings if (runs := self.runs(s, dataset))}
            sampled = Sampled(self.results, dataset, groups.values(), SCORES)
            # Equally many images are drawn with the same numbers in every set; put in an order of
            # its own, those of one set tell nothing of those of another.
            order = np.random.default_rng(place).permutation(self.results.params.report.resamples)
            for name, group in groups.items():
                for score in SCORES:
                    answered = sampled.drawn(score, group)
                    assert answered is not None, "every evaluation has answers to these"
                    hits, draws = answered
                    estimate = Estimate(100 * float(np.mean(hits)), 100 * draws[order])
                    found[name, dataset, score] = estimate
        return found

    # --- what is said beside a verdict ---

    def all_runs(self, chosen: Sequence[Setting], sets: Sequence[str]) -> list[str]:
        """Their runs that are scored on one of these sets, in the order of params.yaml."""
        used = {run for setting in chosen for d in sets for run in self.runs(setting, d)}
        return [run for run in self.made if run in used]

    def seeds(self, chosen: Sequence[Setting], sets: Sequence[str], score: str) -> list[str]:
        """A line on how much the settings of several seeds vary with them, if there are any."""
        said = []
        for setting in chosen:
            deviations = [
                100 * np.std([self.results.metrics[dataset, run][score] for run in runs], ddof=1)
                for dataset in sets
                if len(runs := self.runs(setting, dataset)) > 1
            ]
            if deviations:
                most = max(len(self.runs(setting, dataset)) for dataset in sets)
                said.append(f"`{setting.name}` {np.mean(deviations):.2f} ({most})")
        what = f"Standard deviation of {NAMES[score]} over seeds, in points (number of seeds)"
        return [f"{what}: {', '.join(said)}."] if said else []
