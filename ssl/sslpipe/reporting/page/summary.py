"""What the page says first: what was compared, who won and how surely, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sslpipe.reporting.leaderboard import Json, Row, compared, rows_of
from sslpipe.reporting.page.board import alpha
from sslpipe.reporting.page.figures import Figure
from sslpipe.reporting.page.words import counted, p_value, points, span
from sslpipe.reporting.results import Results

MOST_NAMES = 6


@dataclass(frozen=True, slots=True)
class Number:
    """A score with where it comes from."""

    dataset: str
    run: str
    key: str
    heading: str
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class Against:
    """The best setting of a data set beside another one, by the probe on all test images.

    verdict: better, worse or tied.
    """

    verdict: str
    what: str
    other: str
    difference: str
    interval: str
    p: str


@dataclass(frozen=True, slots=True)
class Winner:
    """tied: the other trained settings that a test does not tell apart from the best."""

    dataset: str
    best: str
    trained: int
    numbers: Sequence[Number]
    against: Sequence[Against]
    tied: Sequence[str]
    absent: Sequence[str]
    """Baselines that there is no score of."""


def winners(whole: Json) -> list[Winner]:
    """Of each data set that has been scored; best is '' where no trained run was."""
    return [_winner(whole, dataset) for dataset in whole["datasets"]]


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
) -> list[str]:
    """A sentence for each thing that the page would show and cannot."""
    lines = list(_missing(results, whole, claims))
    if undrawn := [figure.name for figure in figures if not figure.source]:
        lines.append(f"Not drawn of these results: {names(undrawn)}; run: sslpipe report")
    return lines


def _winner(whole: Json, dataset: str) -> Winner:
    rows = [row for row in rows_of(whole, dataset) if row["kind"] != "chance"]
    trained = [row for row in rows if row["kind"] == "trained"]
    rivals, absent = _rivals(rows, trained)
    if not trained:
        return Winner(dataset, "", 0, [], [], [], absent)
    best = trained[0]
    return Winner(
        dataset,
        best["run"],
        len(trained),
        [_number(whole, best, key) for key in ("public_top1", "private_top1", "knn_top1")],
        [_against(whole, dataset, best, what, other) for what, other in rivals],
        [
            row["run"]
            for row in trained[1:]
            if compared(whole, dataset, best["run"], row["run"])["p"] >= alpha(whole)
        ],
        absent,
    )


def _rivals(rows: Sequence[Row], trained: Sequence[Row]) -> tuple[list[tuple[str, Row]], list[str]]:
    rivals = [("the next", trained[1])] if len(trained) > 1 else []
    absent = []
    for what, pixels in (("the untrained encoder", False), ("raw pixels", True)):
        found = [
            row
            for row in rows
            if row["kind"] == "baseline" and (row["backbone"] == "pixels") == pixels
        ]
        if found:
            rivals.append((what, max(found, key=lambda row: row["scores"]["public_top1"]["mean"])))
        else:
            absent.append(what)
    return rivals, absent


def _number(whole: Json, row: Row, key: str) -> Number:
    score = row["scores"][key]
    return Number(
        row["dataset"],
        row["run"],
        key,
        whole["legend"][key]["heading"],
        f"{100 * score['mean']:.1f}",
        span(score["low"], score["high"]),
    )


def _against(whole: Json, dataset: str, best: Row, what: str, other: Row) -> Against:
    found = compared(whole, dataset, best["run"], other["run"])
    told_apart = "better" if found["difference"] > 0 else "worse"
    verdict = "tied" if found["p"] >= alpha(whole) else told_apart
    difference, interval = points(found["difference"], found["low"], found["high"])
    return Against(verdict, what, other["run"], difference, interval, p_value(found["p"]))


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


def names(runs: Sequence[str]) -> str:
    """The first few of them, and how many more there are."""
    more = len(runs) - MOST_NAMES
    shown = ", ".join(runs[:MOST_NAMES])
    return shown if more <= 0 else f"{shown} and {more} more"
