"""report: every page, table and figure that is made of reports/, of a half-finished experiment too.

The engines would first run what is missing. Neither of them runs this: it is for people.
"""

import contextlib
import importlib
import io
from collections.abc import Iterator, Sequence

from sslpipe.errors import UserError
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.reporting.results import Results

MOST_NAMES = 8
"""In a list of what is missing."""


def run(params: Params, layout: Layout) -> None:
    """Run the report's stages one after another, each of which says what it wrote; then say what is
    missing. Raises UserError at the end when a stage could not work."""
    failed = []
    for stage, *arguments in stages(params):
        module = importlib.import_module(f"sslpipe.stages.{stage}")
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # the leaderboard prints itself
                module.run(params, layout, *arguments)
        except UserError as error:
            failed.append(" ".join([stage, *arguments]))
            say(f"{failed[-1]}: {error}")
    try:
        results = Results(params, layout)
        lines = [*missing(results), *left_out(results)] or ["Nothing is missing."]
    except UserError as error:  # a damaged file, of which a stage has spoken already
        lines = [f"What is missing cannot be told: {error}"]
    for line in lines:
        say(line)
    if failed:
        raise UserError(f"not made: {', '.join(failed)}")


def stages(params: Params) -> list[tuple[str, ...]]:
    """The stages and their arguments; the page last, as it shows what the others wrote."""
    studies = [("study", name) for name in params.studies]
    return [("leaderboard",), ("figures",), *studies, ("claims",), ("page",)]


def missing(results: Results) -> Iterator[str]:
    """A line for each kind of result that is not there, with the command that makes the first."""
    unfinished = results.unfinished
    yield from _line("Not trained", unfinished, [f"pretrain {run}" for run in unfinished])
    for what, command, cells in (
        ("Not scored", "evaluate", results.unscored),
        (
            "Not fine-tuned",
            "finetune",
            [
                (dataset, run)
                for dataset in results.datasets
                for run in results.params.finetune.runs
                if run in results.pretrain and (dataset, run) not in results.finetuned
            ],
        ),
    ):
        names = [f"{run} on {dataset}" for dataset, run in cells]
        yield from _line(what, names, [f"{command} {run} {dataset}" for dataset, run in cells])
    lost = [run for run in results.pretrain if run not in results.history]
    yield from _line("No history of", lost, [f"pretrain {run}" for run in lost])
    bare = [cell for cell in results.metrics if cell not in results.features]
    names = [f"{run} on {dataset}" for dataset, run in bare]
    commands = [f"evaluate {run} {dataset}" for dataset, run in bare]
    yield from _line("No map and probe grid of", names, commands)
    sets = [name for name in results.params.datasets if name not in results.dataset_facts]
    yield from _line("Not described", sets, [f"describe {name}" for name in sets])


def left_out(results: Results) -> Iterator[str]:
    """What is there, but of something else than params.yaml asks for."""
    wrong = results.whose.wrong()
    yield from wrong[:MOST_NAMES]
    if len(wrong) > MOST_NAMES:
        yield f"and {len(wrong) - MOST_NAMES} more, which sslpipe doctor lists"


def _line(what: str, names: Sequence[str], commands: Sequence[str]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        shown = ", ".join(names[:MOST_NAMES])
        yield f"{what}: {shown}{more}; the first by: sslpipe {commands[0]}"
