"""The page's part on studies: a table for each, and the rows that its charts are drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sslpipe.reporting.paired import Json
from sslpipe.reporting.results import Results
from sslpipe.reporting.studies import studies
from sslpipe.reporting.studies_text import scores
from sslpipe.reporting.table import Table
from sslpipe.reporting.words import names


@dataclass(frozen=True, slots=True)
class StudySection:
    """table is empty where no run of the study has scores; data: what `studies` says of it."""

    name: str
    title: str
    caption: str
    notes: Sequence[str]
    table: Table
    data: Json


def study_sections(results: Results) -> list[StudySection]:
    """Those of params.yaml, in its order."""
    return [
        StudySection(
            name,
            study["title"],
            f"Top-1 by {study['x_label']}, percent, with intervals over test images",
            list(_notes(study)),
            scores(study, results.params.report.confidence),
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
