"""The leaderboard: a table for each data set, what is missing, what to ask next."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.provenance.whose import KEY
from sslpipe.reporting.leaderboard import CHANCE, Json, Row, compared, rows_of
from sslpipe.reporting.leaderboard_text import DASH, in_words
from sslpipe.reporting.results import LEADERBOARD, Results
from sslpipe.terminal.console import (
    BEST,
    FAINT,
    WARNING,
    Cell,
    Column,
    print_table,
    print_title,
    stdout,
)

NEEDED = ("made_by", "legend", "main", "datasets", "rows", "comparisons", "missing")
WHAT = ("method", "backbone", "corpus")
TUNED = "finetune_top1"
DISTANCE = "distance"
SPEEDS = ("train_seconds", "images_per_s")
# On a narrow terminal columns are dropped, the last of these first; run and public score stay.
IMPORTANCE = (
    "private_top1",
    "probe_top1",
    "knn_top1",
    TUNED,
    "train_seconds",
    DISTANCE,
    *WHAT,
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
    if whole.get(KEY) != Results(params, layout).stamp(*LEADERBOARD, tuned=True):
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
    for dataset in whole["datasets"]:
        _print_dataset(console, whole, dataset)
    if whole["rows"]:
        console.print()
        console.print(Text(_reading(whole), style=FAINT))
    if unfinished := whole["missing"]["unfinished"]:
        console.print(Text(f"Not trained: {', '.join(unfinished)}.", style=WARNING))


def _print_dataset(console: Console, whole: Json, dataset: str) -> None:
    sizes = whole["datasets"][dataset]
    counts = ", ".join(
        f"{sizes[f'{split}_images']:,} {split}" for split in ("train", "val", "public", "private")
    )
    print_title(console, dataset, f"{sizes['classes']:,} classes; images: {counts}")
    rows = rows_of(whole, dataset)
    tuned = [TUNED] if any(TUNED in row["scores"] for row in rows) else []
    columns = [
        Column("run", [_styled(row, _name(row)) for row in rows]),
        *(_texts(rows, key) for key in WHAT),
        *(_numbers(whole, rows, key) for key in (*whole["main"], *tuned)),
        _distances(whole, dataset, rows),
        *(_numbers(whole, rows, key) for key in SPEEDS),
    ]
    print_table(console, columns)
    for line in _warnings(whole, dataset, rows):
        console.print(Text(line, style=WARNING))


def _texts(rows: Sequence[Row], key: str) -> Column:
    cells = [_styled(row, row[key] or DASH) for row in rows]
    return Column(key, cells, dropped=_dropped(key))


def _dropped(key: str) -> int | None:
    return IMPORTANCE.index(key) if key in IMPORTANCE else None


def _numbers(whole: Json, rows: Sequence[Row], key: str) -> Column:
    """The best trained value stands out."""
    words = whole["legend"][key]
    values = {row["run"]: value for row in rows if (value := _value(row, key)) is not None}
    trained = [
        values[row["run"]] for row in rows if row["kind"] == "trained" if row["run"] in values
    ]
    best = (min if key == "train_seconds" else max)(trained, default=None)
    cells = [
        Text(in_words(row, key, words["kind"]), style=BEST)
        if row["kind"] == "trained" and best is not None and values.get(row["run"]) == best
        else _styled(row, in_words(row, key, words["kind"]))
        for row in rows
    ]
    return Column(words["heading"], cells, right=True, dropped=_dropped(key))


def _distances(whole: Json, dataset: str, rows: Sequence[Row]) -> Column:
    """Each encoder's probe top-1 less that of the first, in points, and the adjusted p value."""
    first, cells = rows[0]["run"], []
    for row in rows:
        if row["run"] in (first, CHANCE):
            cells.append(_styled(row, DASH))
            continue
        found = compared(whole, dataset, row["run"], first)
        p = "< 0.001" if found["p"] < 0.001 else f"{found['p']:.3f}"
        cells.append(_styled(row, f"{100 * found['difference']:+.1f} (p {p})"))
    return Column("to the first", cells, right=True, dropped=_dropped(DISTANCE))


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
        + (", mean ± deviation over seeds (×: how many)" if seeds else "")
        + f". To the first: points of the probe on all test images; from p = {level:.2g} on the two "
        "cannot be told apart. More: sslpipe show RUN, sslpipe compare RUN RUN."
    )


def _name(row: Row) -> str:
    return f"{row['run']} ×{len(row['runs'])}" if len(row["runs"]) > 1 else row["run"]


def _styled(row: Row, text: str) -> Cell:
    return text if row["kind"] == "trained" else Text(text, style=FAINT)


def _value(row: Row, key: str) -> float | None:
    if key in row["scores"]:
        return row["scores"][key]["mean"]
    return row.get(key)
