"""figures: histories, metrics, predictions and features → reports/figures, as png and svg."""

from pathlib import Path

from sslpipe.files import write_bytes
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.progress import say
from sslpipe.reporting.chosen import trained
from sslpipe.reporting.figures.budget import budget_figure
from sslpipe.reporting.figures.confusion import confusion_figure
from sslpipe.reporting.figures.feature_map import feature_map_figure
from sslpipe.reporting.figures.knn_k import knn_k_figure
from sslpipe.reporting.figures.probe_grid import probe_grid_figure
from sslpipe.reporting.figures.style import save
from sslpipe.reporting.figures.training import accuracy_figure, loss_figure
from sslpipe.reporting.results import Results


def run(params: Params, layout: Layout) -> None:
    """Of what there is: a run that has not finished is left out."""
    results = Results(params, layout)
    groups = trained(results)
    methods = {name: made["method"] for name, made in results.pretrain.items()}
    histories = {run: table for run, table in results.history.items() if run in methods}
    curves = {run: table for run, table in histories.items() if results.pretrain[run]["trained"]}
    untrained = {run: table for run, table in histories.items() if run not in curves}
    drawn = {
        "accuracy": accuracy_figure(curves, groups, results.datasets, untrained),
        "loss": loss_figure(curves, groups, methods),
        "budget": budget_figure(results),
        "knn_k": knn_k_figure(results),
        "probe_grid": probe_grid_figure(results),
        "feature_map": feature_map_figure(results),
        "confusion": confusion_figure(results),
    }
    for name, figure in drawn.items():
        stem = layout.figure(name, "png").with_suffix("")
        save(figure, str(stem), lambda path, content: write_bytes(Path(path), content))
    say(f"figures: {', '.join(drawn)} in {layout.figure('accuracy', 'png').parent}")
