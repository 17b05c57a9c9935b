"""What the page says first: what was compared, who won and how surely, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sslpipe.reporting.missing import missing as of_the_experiment
from sslpipe.reporting.page.figures import Figure
from sslpipe.reporting.paired import Json
from sslpipe.reporting.results import Results
from sslpipe.reporting.words import counted, names


def compared_in_words(whole: Json) -> str:
    """One sentence: how much of what was compared on what."""
    trained = [made for made in whole["pretrain"].values() if made["trained"]]
    settings = {tuple(row["runs"]) for row in whole["rows"] if row["kind"] == "trained"}
    parts = [
        counted(len({made[key] for made in trained}), *nouns)
        for key, nouns in (
            ("method", ("method",)),
            ("backbone", ("backbone",)),
            ("corpus", ("corpus", "corpora")),
        )
    ]
    sets = counted(len(whole["datasets"]), "data set")
    if not trained:
        return f"No run has been trained yet; {sets} scored."
    scored = counted(len(settings), "setting")
    epochs = max(made["epochs"] for made in trained)
    return (
        f"{counted(len(trained), 'trained run')} of {', '.join(parts[:-1])} and {parts[-1]}, as "
        f"{scored} compared on {sets}. The longest training has {counted(epochs, 'epoch')}."
    )


def missing(
    results: Results, whole: Json, claims: Mapping[str, Any] | None, figures: Sequence[Figure]
) -> Iterator[str]:
    """A sentence for each thing that the page would show and cannot."""
    yield from (f"{some.said}." for some in of_the_experiment(results))
    if undrawn := [figure.name for figure in figures if not figure.source]:
        yield f"Not drawn of these results: {names(undrawn)}; run: sslpipe report"
    trained = any(made["trained"] for made in whole["pretrain"].values())
    if trained and all(len(row["runs"]) < 2 for row in whole["rows"]):
        yield "No setting was repeated with another seed, so nothing is known of the luck of a draw."
    if claims is None:
        yield "The claims have not been decided."
