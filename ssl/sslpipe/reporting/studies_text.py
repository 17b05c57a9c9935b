"""A study's page: a table for each data set, what it cost, what else differs and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sslpipe.reporting import table as tables
from sslpipe.reporting.board import difference, scored
from sslpipe.reporting.leaderboard import Row
from sslpipe.reporting.markdown import listed, table
from sslpipe.reporting.paired import Json
from sslpipe.reporting.studies import compared
from sslpipe.reporting.table import BOTH, TEXT, Cell, Column, Group, Table, pipes
from sslpipe.reporting.words import DASH, share, spent

if TYPE_CHECKING:
    from sslpipe.schema.report import Report

HEADINGS = {"knn_top1": "k-NN top-1", "probe_top1": "probe top-1"}


def scores(study: Json, confidence: float) -> Table:
    """A group for each data set; a score, its difference from that of the line's first, and p."""
    numeric = study["scale"] != "category"
    columns = [
        Column("run", "run", numeric=False, source="run"),
        *(Column(key, key, numeric=False) for key in study["by"]),
        *(Column(key, key, numeric=numeric) for key in study["x"]),
    ]
    for key, heading in HEADINGS.items():
        columns += [
            Column(key, heading, source="study"),
            Column(f"{key}_difference", "difference", "points from the first", source="study"),
            Column(f"{key}_p", "p", "of this difference, adjusted for all of the column"),
        ]

    def cells(row: Row, found: Json) -> Iterator[Cell]:
        yield Cell(row["run"])
        yield from (Cell(value) for value in row["apart"].values())
        yield from (Cell(text, row["place"] if numeric else None) for text in row["x_labels"])
        for key in HEADINGS:
            against = compared(found[key])
            yield scored(found[key])
            yield from difference(against, confidence) if against else (Cell(DASH), Cell(DASH))

    def row_of(row: Row, dataset: str) -> tables.Row:
        attributes = {"study": study["name"]}
        return tables.Row(list(cells(row, row["scores"][dataset])), row["run"], "", attributes)

    groups = [
        Group([row_of(row, d) for row in study["rows"] if d in row["scores"]], d, dataset=d)
        for d in study["datasets"]
    ]
    caption = f"{study['title']}: top-1 in percent; differences in points from the first run."
    return Table(f"study-{study['name']}", caption, columns, groups)


def as_markdown(study: Json, report: Report) -> str:
    """study: of `studies.study_rows`; report: how its intervals were made."""
    parts = [f"# {study['title']}"]
    settings = listed(study["x"])
    if study["rows"]:
        parts.append(f"![Top-1 over {study['x_label']}](../figures/study_{study['name']}.png)")
        parts.append(f"Runs side by side by {settings}.{_shared(study)}")
    else:
        parts.append(f"No run of this study, by {settings}, has finished, so there is no table.")
    parts += notes(study)
    found = scores(study, report.confidence)
    shown = dict.fromkeys([*study["by"], *study["x"], "run"], TEXT)
    for key in HEADINGS:
        shown |= {key: BOTH, f"{key}_difference": BOTH, f"{key}_p": TEXT}
    for group in found.groups:
        parts += [f"## {group.dataset}", pipes(found, group.rows, shown)]
    if study["datasets"]:
        parts.append(_reading(study, report))
    if study["rows"]:
        parts += ["## Training", _training(study)]
    return "\n\n".join(parts) + "\n"


def _shared(study: Json) -> str:
    several = any(len(row["runs"]) > 1 for row in study["rows"])
    return " Those that differ in nothing but their seed share a row." if several else ""


def notes(study: Json) -> Iterator[str]:
    """What else differs, and what is missing."""
    for line, keys in study["differing"].items():
        where = f" of {line}" if line else ""
        yield (
            f"**Not the only difference:** the rows{where} differ in {listed(keys)} too, so not all of "
            f"a difference comes from {listed(study['x'])}."
        )
    if study["unfinished"]:
        yield f"Left out, as they have not been trained: {listed(study['unfinished'])}."
    cells = [f"`{cell['run']}` on {cell['dataset']}" for cell in study["unscored"]]
    if cells:
        yield f"Trained, but not evaluated: {', '.join(cells)}."


def _training(study: Json) -> str:
    took = {"images_per_s": "images/s", "train_seconds": "training", "device_hours": "device-hours"}
    body = [
        [
            *row["apart"].values(),
            *row["x_labels"],
            f"`{row['run']}`",
            ", ".join(map(str, row["seeds"])),
            *(spent(key, row[key]) for key in took),
        ]
        for row in study["rows"]
    ]
    sides = ("l" if study["scale"] == "category" else "r") * len(study["x"])
    return table(
        [*study["by"], *study["x"], "run", "seeds", *took.values()],
        body,
        "l" * len(study["by"]) + sides + "lrrrr",
    )


def _reading(study: Json, report: Report) -> str:
    bases = [row["run"] for row in study["rows"] if row["compared_with"] is None]
    text = (
        f"Percent of all test images; in brackets {share(report.confidence)} intervals, by "
        f"{report.resamples:,} bootstrap samples of these images, and ± the standard deviation over "
        "seeds, of which the intervals say nothing."
    )
    if len(bases) < len(study["rows"]):
        each = " (each of its kind)" if len(bases) > 1 else ""
        text += (
            f" Differences, in points on the same images, are from {listed(bases)}{each}; p is of a "
            "paired test (McNemar's for two single runs, a t-test over images for means), adjusted "
            "by Holm's method over the comparisons of a column."
        )
    return text
