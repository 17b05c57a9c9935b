"""The leaderboard of a few runs, as if there were no others: fresh from their files, and quick."""

from __future__ import annotations

from collections.abc import Sequence

from sslpipe.reporting.leaderboard import leaderboard
from sslpipe.reporting.paired import Json
from sslpipe.reporting.results import Results


def of_runs(results: Results, runs: Sequence[str]) -> Json:
    """See `reporting.leaderboard.leaderboard`. Those that have not been scored have no row."""
    few = {run: results.params.runs[run] for run in runs}
    params = results.params.model_copy(update={"runs": few})
    made_by = {"report": params.report.model_dump(mode="json")}
    return leaderboard(Results(params, results.layout, results), made_by)


def of_set(results: Results, dataset: str) -> Results:
    """Of one scored data set alone."""
    params = results.params.model_copy(update={"leaderboard": [dataset]})
    return Results(params, results.layout, results)


def of_study(results: Results, name: str) -> Results:
    """Of one study's runs alone, and of no other study."""
    study = results.params.studies[name]
    few = {run: results.params.runs[run] for run in study.runs}
    params = results.params.model_copy(update={"runs": few, "studies": {name: study}})
    return Results(params, results.layout, results)
