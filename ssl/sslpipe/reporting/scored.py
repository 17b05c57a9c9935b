"""The settings that figures show: trained ones and baselines, their scores, the best by validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sslpipe.reporting.results import Results
from sslpipe.reporting.settings import Setting, is_baseline, settings


@dataclass(frozen=True)
class Scored:
    results: Results

    @property
    def datasets(self) -> list[str]:
        return self.results.datasets

    @cached_property
    def trained(self) -> list[Setting]:
        """All settings that were trained, in params.yaml's order."""
        return [setting for setting in self._settings if not self._baseline(setting)]

    @cached_property
    def baselines(self) -> list[Setting]:
        """Encoders without training, and raw pixels."""
        return [setting for setting in self._settings if self._baseline(setting)]

    @cached_property
    def methods(self) -> dict[str, list[Setting]]:
        """method → its trained settings."""
        found: dict[str, list[Setting]] = {}
        for setting in self.trained:
            found.setdefault(self.results.pretrain[setting.name]["method"], []).append(setting)
        return found

    def mean(self, dataset: str, setting: Setting, key: str) -> float | None:
        """A score over those of the setting's runs that have it."""
        cells = [self.results.metrics.get((dataset, run), {}) for run in setting.runs]
        values = [cell[key] for cell in cells if cell.get(key) is not None]
        return float(np.mean(values)) if values else None

    def best(self, dataset: str, among: Sequence[Setting]) -> Setting | None:
        """The one whose probes have the highest mean top-1 on validation; of equal ones the first.

        Of its runs only those that are scored here. None where no setting is.
        """
        means = {
            setting: score
            for setting in among
            if (score := self.mean(dataset, setting, "probe_val_top1")) is not None
        }
        if not means:
            return None
        chosen = max(means, key=means.__getitem__)
        runs = tuple(run for run in chosen.runs if (dataset, run) in self.results.metrics)
        return Setting(runs[0], runs)

    def untrained(self, dataset: str, like: Setting | None) -> Setting | None:
        """A scored encoder without training: of the same backbone as `like` if there is one."""
        backbones = {s: self.results.pretrain[s.name]["backbone"] for s in self.baselines}
        encoders = [s for s in self.baselines if backbones[s] != "pixels"]
        wanted = self.results.pretrain[like.name]["backbone"] if like else None
        same = self.best(dataset, [s for s in encoders if backbones[s] == wanted])
        return same or self.best(dataset, encoders)

    @cached_property
    def _settings(self) -> list[Setting]:
        return settings(self.results.pretrain)

    def _baseline(self, setting: Setting) -> bool:
        return is_baseline(self.results.pretrain[setting.name])
