"""report: every page, table and figure that is made of reports/, of a half-finished experiment too.

The engines would first run what is missing. Neither of them runs this: it is for people.
"""

import contextlib
import importlib
import io
from collections.abc import Iterator

from sslpipe.errors import UserError
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.reporting.missing import missing
from sslpipe.reporting.results import Results
from sslpipe.reporting.words import MOST_NAMES


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
        lines = [f"{some.said}; the first by: {some.made_by}" for some in missing(results)]
        lines = [*lines, *left_out(results)] or ["Nothing is missing."]
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


def left_out(results: Results) -> Iterator[str]:
    """What is there, but of something else than params.yaml asks for."""
    wrong = results.whose.wrong()
    yield from wrong[:MOST_NAMES]
    if len(wrong) > MOST_NAMES:
        yield f"and {len(wrong) - MOST_NAMES} more, which sslpipe doctor lists"
