"""The leaderboard's dictionary as CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from sslpipe.reporting.board import DISTANCE, FILTERS, SPEEDS, P, board, number
from sslpipe.reporting.leaderboard import CHANCE, Row, rows_of
from sslpipe.reporting.markdown import listed, table
from sslpipe.reporting.paired import Json
from sslpipe.reporting.table import BOTH, NOTE, TEXT, Group, Table, pipes
from sslpipe.reporting.winner import winner
from sslpipe.reporting.words import DASH, VERDICTS, how_sure, percent, points, share


def as_csv(whole: Json) -> str:
    """A line for each row. Of a score its mean over seeds, std and the ends of its interval, as
    fractions at full precision; empty where a column means nothing."""
    columns = ["dataset", "run", "runs", "method", "backbone", "corpus", "epochs"]
    scores = [key for key, words in whole["legend"].items() if words["kind"] != "speed"]
    speeds = [key for key, words in whole["legend"].items() if words["kind"] == "speed"]
    parts = {"": "mean", "_std": "std", "_low": "low", "_high": "high"}
    columns += speeds
    columns += [
        f"{key}{end}"
        for key in scores
        for end, part in parts.items()
        if _ever(whole, key, part) and (whole["legend"][key]["kind"] != "setting" or not end)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in whole["rows"]:
        flat = {
            f"{key}{end}": score[part]
            for key, score in row["scores"].items()
            for end, part in parts.items()
        }
        settings = [key for key in scores if whole["legend"][key]["kind"] == "setting"]
        flat |= {key: number(whole, row, key).text for key in settings if key in row["scores"]}
        writer.writerow({**row, "runs": " ".join(row["runs"]), **flat})
    return text.getvalue()


def as_markdown(whole: Json) -> str:
    """A section for each data set, then the legend."""
    parts = ["# Leaderboard"]
    if not whole["rows"]:
        parts.append("No run has been evaluated.")
    scores = board(whole)
    for group in scores.groups:
        parts += [f"## {group.dataset}", *_section(whole, scores, group)]
    parts += ["## How to read this", *_reading(whole)]
    if unfinished := whole["missing"]["unfinished"]:
        parts += [
            "## Not trained",
            f"In no table, as they have not been trained: {listed(unfinished)}.",
        ]
    return "\n\n".join(parts) + "\n"


# --- sections ---------------------------------------------------------------------------------


def _section(whole: Json, scores: Table, group: Group) -> Iterable[str]:
    dataset = group.dataset
    encoders = [row for row in rows_of(whole, dataset) if row["run"] != CHANCE]
    shown = [row for row in group.rows if row.run]
    sizes = whole["datasets"][dataset]
    yield (
        f"{sizes['classes']:,} classes; {sizes['train_images']:,} training, "
        f"{sizes['val_images']:,} validation, {sizes['public_images']:,} public and "
        f"{sizes['private_images']:,} private test images."
    )
    for remark in sizes.get("remarks", []):
        yield f"**Note:** {remark}."
    yield _verdict(whole, dataset)
    main = ("run", *FILTERS, *whole["main"], *SPEEDS)
    yield pipes(scores, group.rows, dict.fromkeys(main, TEXT))
    yield "### How sure"
    yield (
        f"{share(whole['made_by']['report']['confidence'])} intervals in percent, by a bootstrap over "
        "the test images; last, the probe's "
        f"distance from `{group.rival}` in points on the same images, with the p value of a paired "
        "test, adjusted for comparing every two encoders. The first row is first by the public half of "
        "these images, which flatters it: among encoders of equal worth, intervals of the distance "
        "miss 0 more often than they should."
    )
    intervals = dict.fromkeys(whole["main"], NOTE)
    yield pipes(scores, shown, {"run": TEXT, **intervals, DISTANCE: BOTH, P: TEXT})
    yield "### Public and private"
    yield from _shake_up(whole, dataset)
    yield "### Further scores"
    for keys in _further(whole, encoders):
        yield pipes(scores, shown, dict.fromkeys(["run", *keys], TEXT))
    yield from _edges(encoders)
    absent = [cell["run"] for cell in whole["missing"]["unscored"] if cell["dataset"] == dataset]
    if absent:
        yield f"Trained, but not evaluated here, so not in the tables: {listed(absent)}."


def _verdict(whole: Json, dataset: str) -> str:
    """Is the best trained setting better than the next, and than encoders without training?"""
    found = winner(whole, dataset)
    if found is None:
        return "No trained run has been evaluated here, so there is nothing to compare."
    public, private = (found.best["scores"][key]["mean"] for key in ("public_top1", "private_top1"))
    text = (
        f"The best by public top-1 is `{found.best['run']}` with {percent(public)} % "
        f"({percent(private)} % private)."
    )
    for what in found.absent:
        text += f" There is no score of {what} to compare it with."
    against = [
        f"{VERDICTS[a.verdict]} {a.what}, `{a.other}` ({points(a.found.difference)} points, "
        f"{how_sure(a.found)})"
        for a in found.against
    ]
    return (
        f"{text} By the probe on all test images it {'; it '.join(against)}." if against else text
    )


def _shake_up(whole: Json, dataset: str) -> Iterable[str]:
    found = whole["shake_up"][dataset]
    moved = [move for move in found["moves"] if move["public_rank"] != move["private_rank"]]
    count = len(found["moves"])
    if found["rank_correlation"] is None:
        yield (
            "Nothing to correlate: the order of the two halves takes three trained settings of "
            f"different scores, and there are {count} trained settings."
        )
    else:
        yield (
            f"Rank correlation (Spearman) of public and private scores over {count} trained "
            f"settings: {found['rank_correlation']:.2f}."
        )
    if moved:
        yield table(
            ["run", "public place", "private place"],
            [[f"`{m['run']}`", str(m["public_rank"]), str(m["private_rank"])] for m in moved],
            "lrr",
        )
    elif count > 1:
        yield "No setting changes its place."


def _further(whole: Json, encoders: Sequence[Row]) -> list[list[str]]:
    """The other columns that have numbers, in tables of like things."""
    neighbours, rest, shape = [], [], []
    for key, words in whole["legend"].items():
        known = any(key in row["scores"] for row in encoders)
        if key in whole["main"] or words["kind"] == "speed" or not known:
            continue
        if words["kind"] == "feature":
            shape.append(key)
        elif key.startswith("knn_"):
            neighbours.append(key)
        else:
            rest.append(key)
    return [keys for keys in (rest, neighbours, shape) if keys]


def _edges(encoders: Sequence[Row]) -> Iterable[str]:
    edge = [
        f"`{run}` (lr {lr:g}, wd {decay:g})"
        for row in encoders
        for run, (_, lr, decay, on_edge) in zip(row["runs"], row["probe_best"], strict=True)
        if on_edge
    ]
    if edge:
        yield (
            f"**Warning:** the best probe cell lies on the edge of the grid for {', '.join(edge)}; "
            "a wider grid may score higher."
        )


def _reading(whole: Json) -> Iterable[str]:
    evaluate, report = whole["made_by"]["evaluate"], whole["made_by"]["report"]
    yield (
        "Encoders are frozen, but for the fine-tuned columns. Probes are trained with "
        f"{' or '.join(evaluate['probe']['optimizer'])} "
        f"for {evaluate['probe']['epochs']} epochs on the training images. "
        "Their learning rate and weight decay are chosen on validation images, which were carved "
        "from the training images. Test images, public and private, are scored once, with that "
        "choice; and once with the default probe, and with the probes of fewer labels, whose cells "
        "are chosen in the same way."
    )
    yield (
        "Scores are percentages of test images, public and private together unless a heading says "
        "otherwise. A row is a run, or all runs that differ in nothing but their seed: then "
        "mean ± standard deviation over seeds. Rows are ranked by the public score. **Bold**: the "
        f"best trained row of a column. `{CHANCE}`: always answering the most frequent training "
        "class. Baselines, never in bold: method `random` is the encoder before any training, "
        f"backbone `pixels` the image averaged to 16×16. {DASH}: does not apply. Speeds are as "
        "measured, with whatever else ran on the machine."
    )
    yield (
        f"Intervals: {report['resamples']:,} bootstrap samples of the test images, the same for all "
        "rows; they say nothing of other seeds, which the standard deviation does. Tests: "
        "McNemar's exact test for two single runs, a paired t-test over images where a row is a "
        "mean over seeds; Holm's adjustment over all pairs of a data set."
    )
    lines = [
        [words["heading"], f"`{key}`", words["meaning"]]
        for key, words in whole["legend"].items()
        if words["kind"] == "speed" or any(key in row["scores"] for row in whole["rows"])
    ]
    yield table(["heading", "column", "meaning"], lines, "lll")
    trained = {run: made for run, made in whole["pretrain"].items() if made["trained"]}
    if trained:
        yield "Training behind the trained runs:"
        body = [
            [f"`{run}`", str(made["parameters"]["pretrain"]["seed"]), str(made["epochs"]),
             made["precision"], made["device"]]
            for run, made in trained.items()
        ]  # fmt: skip
        yield table(["run", "seed", "epochs", "precision", "device"], body, "lrrll")


def _ever(whole: Json, key: str, part: str) -> bool:
    return any(row["scores"].get(key, {}).get(part) is not None for row in whole["rows"])
