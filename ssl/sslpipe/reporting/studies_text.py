"""A study's page: a table for each data set, what it cost, what else differs and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sslpipe.reporting.leaderboard_text import DASH, duration
from sslpipe.reporting.markdown import table
from sslpipe.reporting.studies import Json, Row
from sslpipe.schema.report import Report

HEADINGS = {"knn_top1": "k-NN", "probe_top1": "probe"}


def as_markdown(study: Json, report: Report) -> str:
    """study: of `studies.study_rows`; report: how its intervals were made."""
    parts = [f"# {study['title']}"]
    settings = _names(study["x"])
    if study["rows"]:
        parts.append(f"![Top-1 over {study['x_label']}](../figures/study_{study['name']}.png)")
        parts.append(f"Runs side by side by {settings}.{_shared(study)}")
    else:
        parts.append(f"No run of this study, by {settings}, has finished, so there is no table.")
    parts += _warnings(study)
    parts += _missing(study)
    for dataset in study["datasets"]:
        parts += [f"## {dataset}", _scores(study, dataset)]
    if study["datasets"]:
        parts.append(_reading(study, report))
    if study["rows"]:
        parts += ["## Training", _training(study)]
    return "\n\n".join(parts) + "\n"


def _shared(study: Json) -> str:
    several = any(len(row["runs"]) > 1 for row in study["rows"])
    return " Those that differ in nothing but their seed share a row." if several else ""


def _warnings(study: Json) -> Iterator[str]:
    for line, keys in study["differing"].items():
        where = f" of {line}" if line else ""
        yield (
            f"**Not the only difference:** the rows{where} differ in {_names(keys)} too, so not all of "
            f"a difference comes from {_names(study['x'])}."
        )


def _missing(study: Json) -> Iterator[str]:
    if study["unfinished"]:
        yield f"Left out, as they have not been trained: {_names(study['unfinished'])}."
    cells = [f"`{cell['run']}` on {cell['dataset']}" for cell in study["unscored"]]
    if cells:
        yield f"Trained, but not evaluated: {', '.join(cells)}."


def _scores(study: Json, dataset: str) -> str:
    headings = [*study["by"], *study["x"], "run"]
    align = "l" * len(study["by"]) + _sides(study) + "l"
    for name in HEADINGS.values():
        headings += [f"{name} top-1", "difference", "p"]
        align += "rrr"
    body = []
    for row in study["rows"]:
        if dataset in row["scores"]:
            cells = _setting(study, row)
            for score in HEADINGS:
                found = row["scores"][dataset][score]
                cells += [_score(found), _difference(found), _p(found["p"])]
            body.append(cells)
    return table(headings, body, align)


def _training(study: Json) -> str:
    headings = [*study["by"], *study["x"], "run", "seeds", "images/s", "training", "device-hours"]
    body = [
        [
            *_setting(study, row),
            ", ".join(map(str, row["seeds"])),
            DASH if row["images_per_s"] is None else f"{row['images_per_s']:,.0f}",
            DASH if row["train_seconds"] is None else duration(row["train_seconds"]),
            DASH if row["device_hours"] is None else _hours(row["device_hours"]),
        ]
        for row in study["rows"]
    ]
    return table(headings, body, "l" * len(study["by"]) + _sides(study) + "lrrrr")


def _reading(study: Json, report: Report) -> str:
    bases = [row["run"] for row in study["rows"] if row["compared_with"] is None]
    text = (
        f"Percent of all test images; in brackets {100 * report.confidence:g} % intervals, by "
        f"{report.resamples:,} bootstrap samples of these images, and ± the standard deviation over "
        "seeds, of which the intervals say nothing."
    )
    if len(bases) < len(study["rows"]):
        each = " (each of its kind)" if len(bases) > 1 else ""
        text += (
            f" Differences, in points on the same images, are from {_names(bases)}{each}; p is of a "
            "paired test (McNemar's for two single runs, a t-test over images for means), adjusted "
            "by Holm's method over the comparisons of a column."
        )
    return text


def _setting(study: Json, row: Row) -> list[str]:
    """The cells that say which setting a row is of."""
    return [*row["apart"].values(), *row["x_labels"], f"`{row['run']}`"]


def _sides(study: Json) -> str:
    return ("l" if study["scale"] == "category" else "r") * len(study["x"])


def _score(score: Json) -> str:
    spread = "" if score["std"] is None else f" ± {100 * score['std']:.1f}"
    return f"{100 * score['mean']:.1f}{spread} ({100 * score['low']:.1f}–{100 * score['high']:.1f})"


def _difference(score: Json) -> str:
    if score["difference"] is None:
        return DASH
    middle, low, high = (
        f"{round(100 * score[key], 1) + 0.0:+.1f}"  # without -0.0
        for key in ("difference", "difference_low", "difference_high")
    )
    return f"{middle} ({low} to {high})"


def _hours(value: float) -> str:
    return f"{value:,.1f}" if value >= 1 else f"{value:.2g}"


def _p(value: float | None) -> str:
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
