"""The leaderboard: a table for each data set, what is missing, what to ask next."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from sslpipe.data.splits import SPLITS
from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.provenance.whose import KEY
from sslpipe.reporting.board import DISTANCE, FILTERS, SPEEDS, P, board
from sslpipe.reporting.leaderboard import Row, rows_of
from sslpipe.reporting.paired import Json
from sslpipe.reporting.results import Results
from sslpipe.reporting.table import TEXT, Group, Table
from sslpipe.terminal.console import (
    FAINT,
    WARNING,
    columns_of,
    print_table,
    print_title,
    stdout,
)

NEEDED = ("made_by", "legend", "main", "datasets", "rows", "comparisons", "missing")
TUNED = "finetune_top1"
# On a narrow terminal columns are dropped, the last of these first; run and public score stay.
IMPORTANCE = (
    "private_top1",
    "probe_top1",
    "knn_top1",
    TUNED,
    "train_seconds",
    DISTANCE,
    P,
    *FILTERS,
    "seeds",
    "images_per_s",
)


def read_leaderboard(params: Params, layout: Layout) -> Json:
    """reports/leaderboard.json. Raises UserError where there is none that can be shown, or it is of other
    results than there are of params.yaml now."""
    path = layout.leaderboard("json")
    if not path.exists():
        raise UserError(f"{path}: missing; it is made by: sslpipe leaderboard")
    whole = read_sealed(path)
    if not isinstance(whole, dict) or any(key not in whole for key in NEEDED):
        raise UserError(f"{path}: of another version; make it again: sslpipe leaderboard")
    if whole.get(KEY) != Results(params, layout).stamp("leaderboard"):
        raise UserError(
            f"{path}: of other settings or results than those of params.yaml now; run snakemake or "
            "dvc repro, or, of what there is: sslpipe report"
        )
    return whole


def print_leaderboard(whole: Json, console: Console | None = None) -> None:
    """whole: `reporting.leaderboard.leaderboard`'s dictionary; on the standard output by default."""
    console = console or stdout()
    if not whole["rows"]:
        console.print("No run has been evaluated.")
    scores = board(whole)
    for group in scores.groups:
        _print_dataset(console, whole, scores, group)
    if whole["rows"]:
        console.print()
        console.print(Text(_reading(whole), style=FAINT))
    if unfinished := whole["missing"]["unfinished"]:
        console.print(Text(f"Not trained: {', '.join(unfinished)}.", style=WARNING))


def _print_dataset(console: Console, whole: Json, scores: Table, group: Group) -> None:
    sizes = whole["datasets"][group.dataset]
    counts = ", ".join(f"{sizes[f'{split}_images']:,} {split}" for split in SPLITS)
    print_title(console, group.dataset, f"{sizes['classes']:,} classes; images: {counts}")
    rows = rows_of(whole, group.dataset)
    seeds = ["seeds"] if any(len(row["runs"]) > 1 for row in rows) else []
    keys = ["run", *seeds, *FILTERS, *whole["main"], TUNED, DISTANCE, P, *SPEEDS]
    print_table(
        console, columns_of(scores, group.rows, dict.fromkeys(keys, TEXT), dropped=IMPORTANCE)
    )
    for line in _warnings(whole, group.dataset, rows):
        console.print(Text(line, style=WARNING))


def _warnings(whole: Json, dataset: str, rows: Sequence[Row]) -> list[str]:
    edge = [
        run
        for row in rows
        for run, (*_, on_edge) in zip(row["runs"], row.get("probe_best", []), strict=False)
        if on_edge
    ]
    absent = [cell["run"] for cell in whole["missing"]["unscored"] if cell["dataset"] == dataset]
    lines = [f"Note: {remark}." for remark in whole["datasets"][dataset].get("remarks", [])]
    if edge:
        lines.append(f"Best probe on the edge of the grid: {', '.join(edge)}.")
    if absent:
        lines.append(f"Trained, but not evaluated here: {', '.join(absent)}.")
    return lines


def _reading(whole: Json) -> str:
    level = 1 - whole["made_by"]["report"]["confidence"]
    seeds = any(len(row["runs"]) > 1 for row in whole["rows"])
    return (
        "Top-1 in percent"
        + (", mean ± deviation over seeds" if seeds else "")
        + f". To the best: points of the probe on all test images; from p = {level:.2g} on the two "
        "cannot be told apart. More: sslpipe show RUN, sslpipe compare RUN RUN."
    )
