"""The leaderboard as a table of the page: a group for each data set, a row for each setting; and the
differences of every two of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sslpipe.reporting.leaderboard import CHANCE, Json, Row, compared, rows_of
from sslpipe.reporting.leaderboard_text import in_words
from sslpipe.reporting.page import table
from sslpipe.reporting.page.table import Cell, Column, Group, Table
from sslpipe.reporting.page.words import DASH, counted, points, span

FILTERS = ("method", "backbone", "corpus")
SPEEDS = ("images_per_s", "train_seconds")
DISTANCE = "distance"
TIED = "tied"

# Further columns, in groups: the first pattern that fits a score's key.
CHOICES = (
    ("Fine-tuning", r"finetune_"),
    ("Few labels", r"fewlabels_"),
    ("Number of neighbours", r"knn_\d+_top1"),
    ("Chosen probe", r"probe_best_"),
    ("Shape of features", r"effective_rank|alignment|uniformity"),
    ("Training", r"epochs|seeds|images_per_s|train_seconds|device_hours|images_seen"),
    ("Further scores", r""),
)


def board(whole: Json) -> Table:
    columns = _columns(whole)
    percent = f"{100 * whole['made_by']['report']['confidence']:g} %"
    caption = (
        f"Scores in percent of test images, and their {percent} intervals over images; ± is the "
        "standard deviation over seeds. Bold: the best trained setting of a column."
    )
    groups = [_group(whole, dataset, columns) for dataset in whole["datasets"]]
    return Table("leaderboard", caption, columns, groups, order="place")


def differences(whole: Json, dataset: str) -> Table:
    """Of every two settings, the row's probe top-1 minus the column's."""
    runs = [row["run"] for row in rows_of(whole, dataset) if row["run"] != CHANCE]
    columns = [Column("run", "run", numeric=False, source="run")]
    columns += [Column(run, run, source="pair") for run in runs]
    rows = []
    for run in runs:
        cells = [
            Cell(DASH) if run == rival else _pair(whole, dataset, run, rival) for rival in runs
        ]
        rows.append(table.Row([Cell(run), *cells], run=run))
    caption = (
        f"{dataset}: probe top-1 of the row minus that of the column, in points; tied where a paired test "
        "on the same test images does not tell the two apart."
    )
    return Table(f"differences-{dataset}", caption, columns, [Group(rows, dataset=dataset)])


def alpha(whole: Json) -> float:
    return 1 - whole["made_by"]["report"]["confidence"]


def choices(whole: Json) -> list[tuple[str, list[Column]]]:
    """Columns that may be shown or hidden, in named groups; not the first, which names the row."""
    found: dict[str, list[Column]] = {title: [] for title in ("Run", "Main scores")}
    found |= {title: [] for title, _ in CHOICES}
    for column in _columns(whole)[1:]:
        if column.key in ("place", *FILTERS):
            found["Run"].append(column)
        elif column.key in (*whole["main"], DISTANCE):
            found["Main scores"].append(column)
        else:
            found[next(t for t, pattern in CHOICES if re.match(pattern, column.key))].append(column)
    return [(title, columns) for title, columns in found.items() if columns]


def _columns(whole: Json) -> list[Column]:
    known = {key for row in whole["rows"] for key in row["scores"]}
    known |= {key for row in whole["rows"] for key in whole["legend"] if row.get(key) is not None}
    columns = [
        Column("run", "run", numeric=False, source="run"),
        Column("place", "place", "rank among the trained settings by public top-1", source="place"),
        *(Column(key, key, numeric=False) for key in FILTERS),
        Column("epochs", "epochs", "epochs of pretraining", source="training", shown=False),
        Column(
            "seeds",
            "seeds",
            "runs that differ in nothing but their seed",
            source="run",
            shown=False,
        ),
    ]
    main, others, speeds = [], [], []
    for key, words in whole["legend"].items():
        source = "training" if words["kind"] == "speed" else "score"
        shown = key in whole["main"] or key in SPEEDS
        column = Column(key, words["heading"], words["meaning"], source=source, shown=shown)
        if key in whole["main"]:
            main.append(column)
        elif key in known:
            (speeds if words["kind"] == "speed" else others).append(column)
    distance = Column(
        DISTANCE, "to the best", "points of probe top-1 from the first row", source="difference"
    )
    return [*columns, *main, distance, *others, *speeds]


def _group(whole: Json, dataset: str, columns: Sequence[Column]) -> Group:
    rows = rows_of(whole, dataset)
    sizes = whole["datasets"][dataset]
    places = {move["run"]: move["public_rank"] for move in whole["shake_up"][dataset]["moves"]}
    best = {column.key: _best(rows, column.key, whole) for column in columns}
    rival = rows[0]["run"]
    return Group(
        [
            table.Row(
                list(_cells(whole, row, columns, places, best, rival)),
                run="" if row["run"] == CHANCE else row["run"],
                kind=row["kind"],
                attributes={key: row[key] or "" for key in FILTERS},
            )
            for row in rows
        ],
        title=dataset,
        note=(
            f"{counted(sizes['classes'], 'class', 'classes')}; "
            f"{sizes['public_images']:,} public and {sizes['private_images']:,} private test images"
            + "".join(f"; note: {remark}" for remark in sizes.get("remarks", []))
        ),
        dataset=dataset,
        rival=rival,
    )


def _cells(
    whole: Json,
    row: Row,
    columns: Sequence[Column],
    places: dict[str, int],
    best: dict[str, float | None],
    rival: str,
) -> Iterator[Cell]:
    for column in columns:
        key = column.key
        if key == "run":
            yield Cell(row["run"], badge="" if row["kind"] == "trained" else row["kind"])
        elif key == "place":
            place = places.get(row["run"])
            yield Cell(str(place or DASH), place)
        elif key in FILTERS:
            yield Cell(row[key] or DASH)
        elif key == "seeds":
            yield Cell(str(len(row["runs"]) or DASH), len(row["runs"]) or None)
        elif key == "epochs":
            yield Cell(DASH if row[key] is None else f"{row[key]:,}", row[key])
        elif key == DISTANCE:
            yield _distance(whole, row, rival)
        else:
            yield _number(whole, row, key, best[key])


def _number(whole: Json, row: Row, key: str, best: float | None) -> Cell:
    kind = whole["legend"][key]["kind"]
    text = in_words(row, key, kind)
    score = row["scores"].get(key, {"low": None, "high": None})
    value = row[key] if kind == "speed" else score.get("mean")
    if value is None:
        return Cell(text)
    note = span(score["low"], score["high"]) if kind == "score" else ""
    return Cell(text, value, note, best=row["kind"] == "trained" and value == best)


def _distance(whole: Json, row: Row, rival: str) -> Cell:
    if row["run"] == CHANCE:
        return Cell(DASH)
    if row["run"] == rival:
        return Cell("first", 0.0)
    return _pair(whole, row["dataset"], row["run"], rival)


def _pair(whole: Json, dataset: str, run: str, rival: str) -> Cell:
    found = compared(whole, dataset, run, rival)
    text, note = points(found["difference"], found["low"], found["high"])
    badge = TIED if found["p"] >= alpha(whole) else ""
    return Cell(text, found["difference"], note=note, badge=badge)


def _best(rows: Sequence[Row], key: str, whole: Json) -> float | None:
    """The highest accuracy or speed, the shortest time; None for what has no better."""
    words = whole["legend"].get(key)
    if words is None or words["kind"] not in ("score", "speed"):
        return None
    if key in ("probe_gain", "device_hours", "images_seen"):
        return None
    trained = [row for row in rows if row["kind"] == "trained"]
    if words["kind"] == "speed":
        values = [row[key] for row in trained if row[key] is not None]
    else:
        values = [row["scores"][key]["mean"] for row in trained if key in row["scores"]]
    if not values:
        return None
    return min(values) if key == "train_seconds" else max(values)
