"""What of the experiment is not there, for the page and for `sslpipe report`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sslpipe.reporting.neighbours import are_of
from sslpipe.reporting.results import Cell, Results
from sslpipe.reporting.words import names


class Missing(NamedTuple):
    """said: what is missing of what, without a full stop; made_by: the command that makes the first."""

    said: str
    made_by: str


def missing(results: Results) -> Iterator[Missing]:
    """One for each kind of result that is not there."""
    pretrain, cells = results.pretrain, list(results.metrics)
    untuned = [
        (dataset, run)
        for dataset in results.datasets
        for run in results.params.finetune.runs
        if run in pretrain and (dataset, run) not in results.finetuned
    ]
    yield from _of_runs("Not trained", "pretrain", results.unfinished)
    yield from _of_cells("Not scored", "evaluate", results.unscored)
    yield from _of_cells("Not fine-tuned", "finetune", untuned)
    lost = [run for run in pretrain if run not in results.history]
    yield from _of_runs("No history of", "pretrain", lost)
    bare = [cell for cell in cells if cell not in results.features]
    yield from _of_cells("No map and probe grid of", "evaluate", bare)
    sets = [name for name in results.params.datasets if name not in results.dataset_facts]
    yield from _of_runs("Not described", "describe", sets)
    strips = [name for name in results.params.neighbour_strips if not are_of(results, name)]
    yield from _of_runs("No strips of nearest neighbours of", "neighbours", strips)


def _of_runs(what: str, command: str, runs: Sequence[str]) -> Iterator[Missing]:
    if runs:
        yield Missing(f"{what}: {names(runs)}", f"sslpipe {command} {runs[0]}")


def _of_cells(what: str, command: str, cells: Sequence[Cell]) -> Iterator[Missing]:
    if cells:
        dataset, run = cells[0]
        of = names([f"{run} on {dataset}" for dataset, run in cells])
        yield Missing(f"{what}: {of}", f"sslpipe {command} {run} {dataset}")
