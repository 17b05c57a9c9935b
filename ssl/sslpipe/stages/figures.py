"""figures: histories, metrics, predictions and features → reports/figures, as png and svg, and
reports/curves.csv for `dvc plots`."""

from sslpipe.io.files import write_bytes, write_text
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.reporting.curves import curves as long_table
from sslpipe.reporting.figures.budget import budget_figure
from sslpipe.reporting.figures.confusion import confusion_figure
from sslpipe.reporting.figures.feature_map import feature_map_figure
from sslpipe.reporting.figures.knn_k import knn_k_figure
from sslpipe.reporting.figures.probe_grid import probe_grid_figure
from sslpipe.reporting.figures.style import able_to_write, as_files
from sslpipe.reporting.figures.training import accuracy_figure, loss_figure
from sslpipe.reporting.letters import drawable
from sslpipe.reporting.results import Results
from sslpipe.reporting.scored import Scored


def run(params: Params, layout: Layout) -> None:
    """Of what there is: a run that has not finished is left out."""
    results = Results(params, layout)
    made_of = results.stamp("figures")
    scored = Scored(results)
    methods = {name: made["method"] for name, made in results.pretrain.items()}
    histories = {run: table for run, table in results.history.items() if run in methods}
    curves = {run: table for run, table in histories.items() if results.pretrain[run]["trained"]}
    untrained = {run: table for run, table in histories.items() if run not in curves}
    classes = {dataset: some["classes"] for (dataset, _), some in results.features.items()}
    names = [name for dataset, some in classes.items() for name in drawable(tuple(some), dataset)]
    with able_to_write(names):
        drawn = {
            "accuracy": accuracy_figure(curves, scored.trained, results.datasets, untrained),
            "loss": loss_figure(curves, scored.trained, methods),
            "budget": budget_figure(scored),
            "knn_k": knn_k_figure(scored),
            "probe_grid": probe_grid_figure(scored),
            "feature_map": feature_map_figure(scored),
            "confusion": confusion_figure(scored),
        }
        for name, figure in drawn.items():
            for suffix, content in as_files(figure, of=made_of).items():
                write_bytes(layout.figure(name, suffix), content)
    table = long_table(histories).to_csv(index=False, float_format="%.6g")
    write_text(layout.curves(), table)
    say(f"figures: {', '.join(drawn)} in {layout.figure('accuracy', 'png').parent}")
