"""All that is known of one run: how it was trained, what it scores, where its files lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sslpipe.io.files import sha256
from sslpipe.layout import Layout
from sslpipe.params import Params, resolve
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import CONTENT, encoder_content
from sslpipe.reporting.board import number, scored
from sslpipe.reporting.few_runs import of_runs
from sslpipe.reporting.leaderboard import MAIN, Row, rows_of
from sslpipe.reporting.paired import Json, score_of
from sslpipe.reporting.results import Results
from sslpipe.reporting.scores import legend
from sslpipe.reporting.settings import Setting, settings
from sslpipe.reporting.table import BOTH
from sslpipe.reporting.trained import as_set, changed, cost, in_short, origin
from sslpipe.reporting.words import share
from sslpipe.terminal.console import (
    WARNING,
    Cell,
    Column,
    print_pairs,
    print_side_by_side,
    print_table,
    print_title,
    stdout,
)


def print_run(params: Params, layout: Layout, name: str, console: Console | None = None) -> None:
    """On the standard output by default. Raises UserError, naming the runs, for an unknown one."""
    resolve(params, name)
    console = console or stdout()
    results = Results(params, layout)
    if name not in results.pretrain:
        console.print(Text(results.whose.trouble(Artefact("encoder", name)) or ""))
        return
    made, whole = results.pretrain[name], of_runs(results, [name])
    print_title(console, name, in_short(made))
    print_pairs(console, _training(made, layout, name))
    _print_scores(console, params, whole)
    _print_seeds(console, results, _setting(results, name))
    absent = [dataset for dataset, run in results.unscored if run == name]
    for dataset in absent:
        why = results.whose.trouble(Artefact("scores", name, dataset))
        line = f"Not scored on {dataset}; that is done by: sslpipe evaluate {name} {dataset}"
        old = why and layout.metrics(name, dataset).exists()
        console.print(Text(f"Not scored on {dataset}: {why}" if old else line, style=WARNING))
    print_title(console, "Files")
    for path in files(params, layout, name):
        console.print(f"  {path}")


def files(params: Params, layout: Layout, name: str) -> list[Path]:
    """Those of the run that there are."""
    paths = [layout.encoder(name), layout.pretrain_report(name), layout.history(name)]
    for dataset in params.leaderboard:
        paths += [
            place(name, dataset)
            for place in (
                layout.embedding,
                layout.metrics,
                layout.predictions,
                layout.features,
                layout.finetune_metrics,
                layout.finetune_predictions,
            )
        ]
    return [path for path in (*paths, layout.export(name)) if path.exists()]


# --- parts ------------------------------------------------------------------------------------


def _training(made: Json, layout: Layout, name: str) -> dict[str, str]:
    words = {"seed": str(made["parameters"]["pretrain"]["seed"])}
    if made["trained"]:
        words["settings"] = as_set(changed(made)) or "the defaults"
    words |= cost(made) | origin(made)
    path = layout.encoder(name)
    if path.exists():
        of_report = encoder_content(path) == made[CONTENT]
        words["encoder sha256"] = (
            sha256(path) if of_report else "none: the file is of something else"
        )
    return words


def _setting(results: Results, name: str) -> Setting:
    return next(some for some in settings(results.pretrain) if name in some.runs)


def _print_scores(console: Console, params: Params, whole: Json) -> None:
    """A column for each data set."""
    rows = {dataset: rows_of(whole, dataset)[0] for dataset in whole["datasets"]}
    if not rows:
        return
    intervals = f"{share(params.report.confidence)} intervals"
    print_title(console, "Scores", f"in percent of test images, with {intervals}")
    labels, columns = _by_dataset(whole, rows, "score")
    labels = replace(labels, cells=[*labels.cells, "best probe"])
    columns = [
        replace(column, cells=[*column.cells, _best_probe(row)])
        for column, row in zip(columns, rows.values(), strict=True)
    ]
    print_side_by_side(console, labels, columns)
    for dataset in rows:
        for remark in whole["datasets"][dataset].get("remarks", []):
            console.print(Text(f"Note on {dataset}: {remark}.", style=WARNING))
    labels, columns = _by_dataset(whole, rows, "feature")
    if labels.cells:
        print_title(console, "Features")
        print_side_by_side(console, labels, columns)


def _by_dataset(whole: Json, rows: dict[str, Row], kind: str) -> tuple[Column, list[Column]]:
    """Labels and a column for each data set, of what any of them has a number of."""
    shown = {
        key: words["heading"]
        for key, words in whole["legend"].items()
        if words["kind"] == kind and any(key in row["scores"] for row in rows.values())
    }
    columns = [
        Column(dataset, [number(whole, row, key).shown(BOTH) for key in shown], right=True)
        for dataset, row in rows.items()
    ]
    return Column("", list(shown.values())), columns


def _best_probe(row: Row) -> Cell:
    optimizer, lr, weight_decay, on_edge = row["probe_best"][0]
    text = f"{optimizer}, lr {lr:g}, wd {weight_decay:g}"
    return Text(f"{text}, edge of the grid", style=WARNING) if on_edge else text


def _print_seeds(console: Console, results: Results, setting: Setting) -> None:
    """Mean and deviation of the main scores over the runs that differ in nothing but their seed."""
    if len(setting.runs) == 1:
        return
    cells = {
        dataset: [
            results.metrics[dataset, run]
            for run in setting.runs
            if (dataset, run) in results.metrics
        ]
        for dataset in results.datasets
    }
    cells = {dataset: some for dataset, some in cells.items() if some}
    if not cells:
        return
    print_title(console, "Seeds", ", ".join(setting.runs))
    headings = legend(results.params.evaluate)
    columns = [
        Column("", list(cells)),
        Column("runs", [str(len(some)) for some in cells.values()], right=True),
    ]
    columns += [
        Column(
            headings[key]["heading"],
            [scored(score_of([cell[key] for cell in some])).text for some in cells.values()],
            right=True,
        )
        for key in MAIN
    ]
    print_table(console, columns)
