"""Which of the scored settings is shown: the best by validation, and the untrained encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sslpipe.reporting.results import Results
from sslpipe.reporting.settings import Setting, is_baseline, settings


def trained(results: Results) -> list[Setting]:
    """All settings that were trained, in params.yaml's order."""
    return [
        setting
        for setting in settings(results.pretrain)
        if not is_baseline(results.pretrain[setting.name])
    ]


def baselines(results: Results) -> list[Setting]:
    """Encoders without training, and raw pixels."""
    return [
        setting
        for setting in settings(results.pretrain)
        if is_baseline(results.pretrain[setting.name])
    ]


def mean_score(results: Results, dataset: str, setting: Setting, key: str) -> float | None:
    """Over the setting's runs that have this score."""
    cells = [results.metrics.get((dataset, run), {}) for run in setting.runs]
    values = [cell[key] for cell in cells if cell.get(key) is not None]
    return float(np.mean(values)) if values else None


def best(results: Results, dataset: str, among: Sequence[Setting]) -> Setting | None:
    """The setting whose probes have the highest mean top-1 on validation; of equal ones the first.

    Of its runs only those that are scored here. None where no setting is.
    """
    scores = {
        setting: score
        for setting in among
        if (score := mean_score(results, dataset, setting, "probe_val_top1")) is not None
    }
    if not scores:
        return None
    runs = tuple(
        run for run in max(scores, key=scores.__getitem__).runs if (dataset, run) in results.metrics
    )
    return Setting(runs[0], runs)


def untrained(results: Results, dataset: str, like: Setting | None) -> Setting | None:
    """A scored encoder without training: of the same backbone as `like` if there is one."""
    found = [
        setting
        for setting in baselines(results)
        if results.pretrain[setting.name]["backbone"] != "pixels"
    ]
    if like is not None:
        backbone = results.pretrain[like.name]["backbone"]
        same = [s for s in found if results.pretrain[s.name]["backbone"] == backbone]
        if chosen := best(results, dataset, same):
            return chosen
    return best(results, dataset, found)
