"""What the page says first: what was compared, who won and how surely, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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


def missing(results: Results, whole: Json, claims: Mapping[str, Any] | None) -> list[str]:
    """A sentence for each thing that the page would show and cannot."""
    return list(_missing(results, whole, claims))


def _missing(results: Results, whole: Json, claims: Mapping[str, Any] | None) -> Iterator[str]:
    gone = whole["missing"]
    if gone["unfinished"]:
        yield f"Not trained: {names(gone['unfinished'])}."
    for dataset in results.datasets:
        runs = [cell["run"] for cell in gone["unscored"] if cell["dataset"] == dataset]
        if dataset not in whole["datasets"]:
            yield f"No run has been scored on {dataset}."
        elif runs:
            yield f"Not scored on {dataset}: {names(runs)}."
    tuned = [
        f"{run} on {dataset}"
        for dataset in whole["datasets"]
        for run in results.params.finetune.runs
        if (dataset, run) not in results.finetuned
    ]
    if tuned:
        yield f"Not fine-tuned: {names(tuned)}."
    trained = [run for run, made in whole["pretrain"].items() if made["trained"]]
    if curveless := [run for run in trained if run not in results.history]:
        yield f"No training history of {names(curveless)}."
    shapeless = [
        f"{run} on {dataset}"
        for dataset, cells in whole["metrics"].items()
        for run in cells
        if (dataset, run) not in results.features
    ]
    if shapeless:
        yield f"No map and probe grid of {names(shapeless)}."
    if facts := [name for name in results.params.datasets if name not in results.dataset_facts]:
        yield f"No description of the data set {names(facts)}."
    if trained and all(len(row["runs"]) < 2 for row in whole["rows"]):
        yield "No setting was repeated with another seed, so nothing is known of the luck of a draw."
    if claims is None:
        yield "The claims have not been decided."
