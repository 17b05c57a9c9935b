"""The leaderboard's dictionary as CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from sslpipe.reporting.leaderboard import CHANCE, Json, Row, compared, rows_of

DASH = "–"
WHAT = {"run": "run", "method": "method", "backbone": "backbone", "corpus": "corpus"}
SPEEDS = ("images_per_s", "train_seconds")


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
        # The mean of several seeds' choices was no one's choice.
        settings = [key for key in scores if whole["legend"][key]["kind"] == "setting"]
        flat |= {key: in_words(row, key, "setting") for key in settings if key in row["scores"]}
        writer.writerow({**row, "runs": " ".join(row["runs"]), **flat})
    return text.getvalue()


def as_markdown(whole: Json) -> str:
    """A section for each data set, then the legend."""
    parts = ["# Leaderboard"]
    if not whole["rows"]:
        parts.append("No run has been evaluated.")
    for dataset in whole["datasets"]:
        parts += [f"## {dataset}", *_section(whole, dataset)]
    parts += ["## How to read this", *_reading(whole)]
    if unfinished := whole["missing"]["unfinished"]:
        parts += [
            "## Not trained",
            f"In no table, as they have not been trained: {_names(unfinished)}.",
        ]
    return "\n\n".join(parts) + "\n"


def percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def in_words(row: Row, key: str, kind: str) -> str:
    """A number of a row as tables show it: percent, mean ± std over seeds."""
    if kind == "speed":
        value = row[key]
        if value is None:
            return DASH
        if key == "train_seconds":
            return duration(value)
        return f"{value:,.2f}" if key == "device_hours" else f"{value:,.0f}"
    score = row["scores"].get(key)
    if score is None:
        return DASH
    if kind == "setting":
        return ", ".join(dict.fromkeys(f"{value:g}" for value in score["values"]))
    factor = 100 if kind == "score" else 1
    digits = 2 if key in ("alignment", "uniformity") else 1
    mean = f"{factor * score['mean']:.{digits}f}"
    return mean if score["std"] is None else f"{mean} ± {factor * score['std']:.{digits}f}"


# --- sections ---------------------------------------------------------------------------------


def _section(whole: Json, dataset: str) -> Iterable[str]:
    rows = rows_of(whole, dataset)
    encoders = [row for row in rows if row["run"] != CHANCE]
    sizes = whole["datasets"][dataset]
    yield (
        f"{sizes['classes']:,} classes; {sizes['train_images']:,} training, "
        f"{sizes['val_images']:,} validation, {sizes['public_images']:,} public and "
        f"{sizes['private_images']:,} private test images."
    )
    for remark in sizes.get("remarks", []):
        yield f"**Note:** {remark}."
    yield _verdict(whole, dataset, encoders)
    yield _table(whole, rows, (*WHAT, *whole["main"], *SPEEDS))
    yield "### How sure"
    yield from _sure(whole, dataset, encoders)
    yield "### Public and private"
    yield from _shake_up(whole, dataset)
    yield "### Further scores"
    for keys in _further(whole, encoders):
        yield _table(whole, encoders, ("run", *keys))
    yield from _edges(encoders)
    absent = [cell["run"] for cell in whole["missing"]["unscored"] if cell["dataset"] == dataset]
    if absent:
        yield f"Trained, but not evaluated here, so not in the tables: {_names(absent)}."


def _verdict(whole: Json, dataset: str, encoders: Sequence[Row]) -> str:
    """Is the best trained setting better than the next, and than encoders without training?"""
    trained = [row for row in encoders if row["kind"] == "trained"]
    if not trained:
        return "No trained run has been evaluated here, so there is nothing to compare."
    best = trained[0]
    public, private = (best["scores"][key]["mean"] for key in ("public_top1", "private_top1"))
    text = (
        f"The best by public top-1 is `{best['run']}` with {percent(public)} "
        f"({percent(private)} private)."
    )
    rivals = [("the next", trained[1])] if len(trained) > 1 else []
    for kind, test in (("the untrained encoder", False), ("raw pixels", True)):
        found = [
            row
            for row in encoders
            if row["kind"] == "baseline" and (row["backbone"] == "pixels") == test
        ]
        if found:
            rivals.append((kind, max(found, key=lambda row: row["scores"]["public_top1"]["mean"])))
        else:
            text += f" There is no score of {kind} to compare it with."
    if rivals:
        found = "; it ".join(_against(whole, dataset, best, *rival) for rival in rivals)
        text += f" By the probe on all test images it {found}."
    return text


def _against(whole: Json, dataset: str, best: Row, kind: str, rival: Row) -> str:
    """Which of two is better, with the interval of the difference and its adjusted p."""
    found = compared(whole, dataset, best["run"], rival["run"])
    if found["p"] >= 1 - whole["made_by"]["report"]["confidence"]:
        verb = "cannot be told apart from"
    else:
        verb = "beats" if found["difference"] > 0 else "is worse than"
    points = _range(found["low"], found["high"], sign=True)
    p = _p(found["p"])
    return (
        f"{verb} {kind}, `{rival['run']}` ({100 * found['difference']:+.1f} points, {points}, "
        f"p {p if p.startswith('<') else f'= {p}'})"
    )


def _sure(whole: Json, dataset: str, encoders: Sequence[Row]) -> Iterable[str]:
    """Intervals of the main scores, and each setting's distance from the best."""
    percentage = f"{100 * whole['made_by']['report']['confidence']:g} %"
    best = encoders[0]
    body = []
    for row in encoders:
        cells = [f"`{row['run']}`"]
        for key in whole["main"]:
            score = row["scores"][key]
            cells.append(DASH if score["low"] is None else _range(score["low"], score["high"]))
        if row is best:
            cells += [DASH, DASH]
        else:
            found = compared(whole, dataset, row["run"], best["run"])
            cells += [
                f"{100 * found['difference']:+.1f} ({_range(found['low'], found['high'], sign=True)})",
                _p(found["p"]),
            ]
        body.append(cells)
    headings = [whole["legend"][key]["heading"] for key in whole["main"]]
    yield (
        f"{percentage} intervals in percent, by a bootstrap over the test images; last, the probe's "
        f"distance from `{best['run']}` in points on the same images, with the p value of a paired "
        "test, adjusted for comparing every two encoders. The first row is first by the public half of "
        "these images, which flatters it: among encoders of equal worth, intervals of the distance "
        "miss 0 more often than they should."
    )
    yield _aligned(["run", *headings, "distance", "p"], body, "l" + "r" * (len(headings) + 2))


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
        yield _aligned(
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
    yield _aligned(["heading", "column", "meaning"], lines, "lll")
    trained = {run: made for run, made in whole["pretrain"].items() if made["trained"]}
    if trained:
        yield "Training behind the trained runs:"
        body = [
            [f"`{run}`", str(made["parameters"]["pretrain"]["seed"]), str(made["epochs"]),
             made["precision"], made["device"]]
            for run, made in trained.items()
        ]  # fmt: skip
        yield _aligned(["run", "seed", "epochs", "precision", "device"], body, "lrrll")


# --- tables -----------------------------------------------------------------------------------


def _table(whole: Json, rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The best trained value of each score in bold."""
    legend = whole["legend"]
    kinds = {key: legend[key]["kind"] for key in columns if key in legend}
    trained = [row for row in rows if row["kind"] == "trained"]
    best = {key: _best(trained, key, kind) for key, kind in kinds.items()}

    def shown(row: Row, key: str) -> str:
        if key not in kinds:
            text = row[key] or DASH
            return f"`{text}`" if key == "run" and text != CHANCE else text
        text = in_words(row, key, kinds[key])
        bold = (
            key != "probe_gain"
            and row["kind"] == "trained"
            and text != DASH
            and _value(row, key) == best[key]
        )
        return f"**{text}**" if bold else text

    headings = [WHAT.get(key) or legend[key]["heading"] for key in columns]
    align = "".join("r" if key in kinds else "l" for key in columns)
    return _aligned(headings, [[shown(row, key) for key in columns] for row in rows], align)


def _best(trained: Sequence[Row], key: str, kind: str) -> float | None:
    values = [value for row in trained if (value := _value(row, key)) is not None]
    # Speeds depend on what else ran, so that none is the best.
    return max(values) if values and kind == "score" and key != "probe_gain" else None


def _value(row: Row, key: str) -> float | None:
    if key in row:
        return row[key]
    return row["scores"][key]["mean"] if key in row["scores"] else None


def _aligned(headings: Sequence[str], body: Sequence[Sequence[str]], align: str) -> str:
    return tabulate(
        body,
        headers=headings,
        tablefmt="pipe",
        colalign=["right" if side == "r" else "left" for side in align] if body else None,
        disable_numparse=True,
    )


def _range(low: float, high: float, *, sign: bool = False) -> str:
    """In percent."""
    return f"{100 * low:+.1f} to {100 * high:+.1f}" if sign else f"{100 * low:.1f}–{100 * high:.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _ever(whole: Json, key: str, part: str) -> bool:
    return any(row["scores"].get(key, {}).get(part) is not None for row in whole["rows"])


def _names(runs: Sequence[Any]) -> str:
    return ", ".join(f"`{run}`" for run in runs)
