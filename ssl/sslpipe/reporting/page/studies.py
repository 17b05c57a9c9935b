"""The page's part on studies: a figure and a table for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sslpipe.reporting.leaderboard import Json
from sslpipe.reporting.page.board import TIED, alpha
from sslpipe.reporting.page.figures import Figure, figure_of
from sslpipe.reporting.page.summary import names
from sslpipe.reporting.page.table import Cell, Column, Group, Row, Table
from sslpipe.reporting.page.words import DASH, p_value, points, span
from sslpipe.reporting.results import Results
from sslpipe.reporting.studies import studies

SCORES = ("knn_top1", "probe_top1")


@dataclass(frozen=True, slots=True)
class StudySection:
    """table is empty where no run of the study has scores; data: what `studies` says of it, for those
    who ask where a number of the table comes from."""

    name: str
    title: str
    figure: Figure
    notes: Sequence[str]
    table: Table
    data: Json


def study_sections(results: Results, whole: Json) -> list[StudySection]:
    """Those of params.yaml, in its order."""
    return [
        StudySection(
            name,
            study["title"],
            figure_of(results, study),
            list(_notes(study)),
            _table(study, whole),
            study,
        )
        for name, study in studies(results).items()
    ]


def _notes(study: Json) -> Iterator[str]:
    for line, keys in study["differing"].items():
        where = f" of {line}" if line else ""
        yield (
            f"The rows{where} differ in more than {study['x_label']}: {', '.join(keys)}; so not all "
            "of a difference comes from it."
        )
    if study["unfinished"]:
        yield f"Not trained: {names(study['unfinished'])}."
    cells = [f"{cell['run']} on {cell['dataset']}" for cell in study["unscored"]]
    if cells:
        yield f"Not scored: {names(cells)}."


def _table(study: Json, whole: Json) -> Table:
    headings = {key: whole["legend"][key]["heading"] for key in SCORES}
    columns = [
        Column("run", "run", numeric=False, source="run"),
        *([Column("line", " and ".join(study["by"]), numeric=False)] if study["by"] else []),
        Column("x", study["x_label"], numeric=study["scale"] != "category"),
    ]
    for key in SCORES:
        columns += [
            Column(key, headings[key], source="study"),
            Column(f"{key}_difference", "difference", "points from the first", source="study"),
        ]
    groups = []
    for dataset in study["datasets"]:
        rows = [
            Row(
                list(_cells(study, row, row["scores"][dataset], alpha(whole))),
                run=row["run"],
                attributes={"study": study["name"]},
            )
            for row in study["rows"]
            if dataset in row["scores"]
        ]
        groups.append(Group(rows, dataset, "", dataset))
    caption = f"{study['title']}: top-1 in percent; differences in points from the first run."
    return Table(f"study-{study['name']}", caption, columns, groups)


def _cells(study: Json, row: Json, scores: Json, least_p: float) -> Iterator[Cell]:
    yield Cell(row["run"])
    if study["by"]:
        yield Cell(row["line"])
    yield Cell(row["x_label"], None if study["scale"] == "category" else row["place"])
    for key in SCORES:
        score = scores[key]
        text = f"{100 * score['mean']:.1f}"
        if score["std"] is not None:
            text += f" ± {100 * score['std']:.1f}"
        yield Cell(text, score["mean"], note=span(score["low"], score["high"]))
        if score["difference"] is None:
            yield Cell(DASH)
            continue
        ends = (score["difference"], score["difference_low"], score["difference_high"])
        difference, interval = points(*ends)
        yield Cell(
            difference,
            score["difference"],
            note=f"{interval}; {p_value(score['p'])}",
            badge=TIED if score["p"] >= least_p else "",
        )
