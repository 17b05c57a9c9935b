"""The leaderboard as a table: a group for each data set, a row for each setting; and the differences of
every two of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sslpipe.reporting import table
from sslpipe.reporting.leaderboard import CHANCE, Row, compared, rows_of
from sslpipe.reporting.paired import Comparison, Json
from sslpipe.reporting.scores import GROUPS, MAIN, TRAINING
from sslpipe.reporting.table import Cell, Column, Group, Table
from sslpipe.reporting.words import (
    DASH,
    counted,
    p_value,
    percent,
    points,
    points_span,
    share,
    span,
    spent,
    spread,
)

FILTERS = ("method", "backbone", "corpus")
SPEEDS = ("images_per_s", "train_seconds")
DISTANCE, P = "distance", "p"
LEADING = 7  # columns before the scores


def board(whole: Json) -> Table:
    columns = _columns(whole)
    caption = (
        "Scores in percent of test images, and their "
        f"{share(whole['made_by']['report']['confidence'])} intervals over images; ± is the "
        "standard deviation over seeds. Bold: the best trained setting of a column."
    )
    groups = [_group(whole, dataset, columns) for dataset in whole["datasets"]]
    return Table("leaderboard", caption, columns, groups, order="place")


def differences(whole: Json, dataset: str) -> Table:
    """Of every two settings, the row's probe top-1 minus the column's."""
    confidence = whole["made_by"]["report"]["confidence"]
    runs = [row["run"] for row in rows_of(whole, dataset) if row["run"] != CHANCE]
    columns = [Column("run", "run", numeric=False, source="run")]
    columns += [Column(run, run, source="pair") for run in runs]
    rows = []
    for run in runs:
        cells = [
            Cell(DASH)
            if run == rival
            else difference(compared(whole, dataset, run, rival), confidence)[0]
            for rival in runs
        ]
        rows.append(table.Row([Cell(run), *cells], run=run))
    caption = (
        f"{dataset}: probe top-1 of the row minus that of the column, in points; tied where a paired test "
        "on the same test images does not tell the two apart."
    )
    return Table(f"differences-{dataset}", caption, columns, [Group(rows, dataset=dataset)])


def number(whole: Json, row: Row, key: str) -> Cell:
    """A number of a row: percent, mean ± std over seeds, with its interval as the note."""
    kind, score = whole["legend"][key]["kind"], row["scores"].get(key)
    if kind == "speed":
        return Cell(spent(key, row[key]), row[key])
    if score is None:
        return Cell(DASH)
    mean, std = score["mean"], score["std"]
    if kind == "setting":  # the mean of several seeds' choices was no one's choice
        return Cell(", ".join(dict.fromkeys(f"{value:g}" for value in score["values"])), mean)
    if kind == "score":
        return scored(score)
    return Cell(spread(mean, std, 2 if key in ("alignment", "uniformity") else 1), mean)


def scored(score: Json) -> Cell:
    return Cell(
        percent(score["mean"], score["std"]), score["mean"], span(score["low"], score["high"])
    )


def difference(found: Comparison, confidence: float) -> tuple[Cell, Cell]:
    """A difference with its interval and `tied` where that is the verdict, and its p value."""
    badge = "tied" if found.verdict(confidence) == "tied" else ""
    return (
        Cell(points(found.difference), found.difference, points_span(found), badge),
        Cell(p_value(found.p), found.p),
    )


def choices(whole: Json) -> list[tuple[str, list[Column]]]:
    """Columns that may be shown or hidden, in named groups; not the first, which names the row."""
    found: dict[str, list[Column]] = {title: [] for title in ("Run", *GROUPS)}
    for column in _columns(whole)[1:]:
        if column.key in ("place", *FILTERS):
            found["Run"].append(column)
        elif column.key in (DISTANCE, P):
            found[MAIN].append(column)
        else:  # of a training, what is no score
            group = whole["legend"].get(column.key, {}).get("group", TRAINING)
            found[group].append(column)
    return [(title, columns) for title, columns in found.items() if columns]


def _columns(whole: Json) -> list[Column]:
    known = {key for row in whole["rows"] for key in row["scores"]}
    known |= {key for row in whole["rows"] for key in whole["legend"] if row.get(key) is not None}
    main: list[Column] = []
    others: list[Column] = []
    speeds: list[Column] = []
    for key, words in whole["legend"].items():
        is_speed = words["kind"] == "speed"
        source = "training" if is_speed else "score"
        shown = key in whole["main"] or key in SPEEDS
        column = Column(key, words["heading"], words["meaning"], source=source, shown=shown)
        if key in whole["main"]:
            main.append(column)
        elif key in known:
            (speeds if is_speed else others).append(column)
    place = "rank among the trained settings by public top-1"
    seeds = "runs that differ in nothing but their seed"
    distance = "points of probe top-1 from the first row"
    p = "of this difference, by a paired test, adjusted for comparing every two encoders"
    return [
        Column("run", "run", numeric=False, source="run"),
        Column("place", "place", place, source="place"),
        *(Column(key, key, numeric=False) for key in FILTERS),
        Column("epochs", "epochs", "epochs of pretraining", source="training", shown=False),
        Column("seeds", "seeds", seeds, source="run", shown=False),
        *main,
        Column(DISTANCE, "to the best", distance, source="difference"),
        Column(P, "p", p, source="difference", shown=False),
        *others,
        *speeds,
    ]


def _group(whole: Json, dataset: str, columns: Sequence[Column]) -> Group:
    rows = rows_of(whole, dataset)
    sizes = whole["datasets"][dataset]
    places = {move["run"]: move["public_rank"] for move in whole["shake_up"][dataset]["moves"]}
    bests = {column.key: _best(rows, column.key, whole) for column in columns}
    rival = rows[0]["run"]

    def cells(row: Row) -> Iterator[Cell]:
        place, seeds, epochs = places.get(row["run"]), len(row["runs"]) or None, row["epochs"]
        distance = dict(zip((DISTANCE, P), _distance(whole, row, rival), strict=True))
        yield Cell(row["run"], badge="" if row["kind"] == "trained" else row["kind"])
        yield Cell(str(place or DASH), place)
        yield from (Cell(row[key] or DASH) for key in FILTERS)
        yield Cell(DASH if epochs is None else f"{epochs:,}", epochs)
        yield Cell(str(seeds or DASH), seeds)
        for column in columns[LEADING:]:
            cell = distance.get(column.key) or number(whole, row, column.key)
            best = row["kind"] == "trained" and cell.value == bests[column.key] is not None
            yield replace(cell, best=best)

    return Group(
        [
            table.Row(
                list(cells(row)),
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


def _distance(whole: Json, row: Row, rival: str) -> tuple[Cell, Cell]:
    if row["run"] == CHANCE:
        return Cell(DASH), Cell(DASH)
    if row["run"] == rival:
        return Cell(DASH, 0.0), Cell(DASH)
    confidence = whole["made_by"]["report"]["confidence"]
    return difference(compared(whole, row["dataset"], row["run"], rival), confidence)


def _best(rows: Sequence[Row], key: str, whole: Json) -> float | None:
    """The highest score of a trained row; None for what has no better. Speeds depend on what else ran
    on the machine, so that none is the best."""
    if key == "probe_gain" or whole["legend"].get(key, {}).get("kind") != "score":
        return None
    trained = [row["scores"] for row in rows if row["kind"] == "trained"]
    return max((scores[key]["mean"] for scores in trained if key in scores), default=None)
