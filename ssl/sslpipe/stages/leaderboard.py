"""leaderboard: every scored cell → reports/leaderboard.{md,csv,json}."""

from typing import Any

import sslpipe
from sslpipe.files import read_json, write_text
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.reporting import leaderboard
from sslpipe.stages.inputs import require


def run(params: Params, layout: Layout) -> None:
    metrics, pretrain = scores(params, layout), trainings(params, layout)
    table = leaderboard.rows(metrics, pretrain)
    made_by = {"sslpipe": sslpipe.__version__, "evaluate": params.evaluate.model_dump(mode="json")}
    write_text(layout.leaderboard("csv"), leaderboard.as_csv(table))
    write_text(layout.leaderboard("json"), leaderboard.as_json(metrics, pretrain, made_by))
    write_text(layout.leaderboard("md"), leaderboard.as_markdown(metrics, pretrain))


def scores(params: Params, layout: Layout) -> dict[tuple[str, str], dict[str, Any]]:
    """(data set, run) → its metrics, for every cell of params.yaml that has been scored."""
    cells = [(dataset, run) for dataset in params.leaderboard for run in params.runs]
    return {
        (dataset, run): read_json(layout.metrics(run, dataset))
        for dataset, run in cells
        if layout.metrics(run, dataset).exists()
    }


def trainings(params: Params, layout: Layout) -> dict[str, dict[str, Any]]:
    """run → its training report, for every run of params.yaml."""
    return {
        run: read_json(require(layout.pretrain_report(run), f"sslpipe pretrain {run}"))
        for run in params.runs
    }


def as_text(params: Params, layout: Layout) -> str:
    """The leaderboard for a terminal, with the places of the full one and of the figures."""
    metrics, pretrain = scores(params, layout), trainings(params, layout)
    table = leaderboard.as_text(leaderboard.rows(metrics, pretrain))
    figures = layout.figure("accuracy", "png").parent
    return f"{table}\nReport: {layout.leaderboard('md')}   Figures: {figures}/"
