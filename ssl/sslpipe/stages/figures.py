"""figures: training histories → Figure 1 (accuracy) and the loss figure, as png and svg."""

from pathlib import Path

import pandas as pd

from sslpipe.files import write_bytes
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.reporting import figures
from sslpipe.stages.inputs import require
from sslpipe.stages.leaderboard import scores


def run(params: Params, layout: Layout) -> None:
    trained = {name: run for name, run in params.runs.items() if run.method != "random"}
    histories = {
        name: pd.read_csv(require(layout.history(name), f"sslpipe pretrain {name}"))
        for name in trained
    }
    baselines = {
        dataset: {
            name: {"knn": cell["knn_val_top1"], "probe": cell["probe_default_val_top1"]}
            for (of, name), cell in scores(params, layout).items()
            if of == dataset and name not in trained
        }
        for dataset in params.leaderboard
    }
    drawn = {
        "accuracy": figures.accuracy_figure(histories, params.leaderboard, baselines),
        "loss": figures.loss_figure(histories, {name: run.method for name, run in trained.items()}),
    }
    for name, figure in drawn.items():
        stem = layout.figure(name, "png").with_suffix("")
        figures.save(figure, str(stem), lambda path, content: write_bytes(Path(path), content))
