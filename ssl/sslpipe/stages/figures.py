"""figures: training histories → Figure 1 (accuracy) and the loss figure, as png and svg."""

from pathlib import Path

import pandas as pd

from sslpipe.errors import UserError
from sslpipe.files import write_bytes
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.reporting import figures
from sslpipe.stages.inputs import require


def run(params: Params, layout: Layout) -> None:
    methods = {name: run.method for name, run in params.runs.items()}
    histories = {name: read_history(layout, name) for name in methods}
    trained = {name: table for name, table in histories.items() if methods[name] != "random"}
    untrained = {name: table for name, table in histories.items() if name not in trained}
    drawn = {
        "accuracy": figures.accuracy_figure(trained, params.leaderboard, untrained),
        "loss": figures.loss_figure(trained, methods),
    }
    for name, figure in drawn.items():
        stem = layout.figure(name, "png").with_suffix("")
        figures.save(figure, str(stem), lambda path, content: write_bytes(Path(path), content))


def read_history(layout: Layout, run: str) -> pd.DataFrame:
    """Raises UserError where there is none, or a damaged one."""
    path = require(layout.history(run), f"sslpipe pretrain {run}")
    try:
        table = pd.read_csv(path)
        if "epoch" not in table:
            raise ValueError("no column epoch")
    except ValueError as error:
        raise UserError(
            f"{path}: damaged ({error}); delete it and run: sslpipe pretrain {run}"
        ) from None
    return table
