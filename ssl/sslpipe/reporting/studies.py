"""A study: runs side by side along one of their settings, how sure their scores are, what differs.

Pure functions of `Results`; `studies_text` makes a page of it, `figures.study` a figure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sslpipe.reporting.leaderboard import Row, speeds
from sslpipe.reporting.paired import Comparison, Group, Json, Sampled
from sslpipe.reporting.results import Results
from sslpipe.reporting.settings import effective, flat
from sslpipe.reporting.words import value_in_words

SCORES = ("knn_top1", "probe_top1")
DIFFERENCE = ("difference", "difference_low", "difference_high", "p")  # a `Comparison` in a score
APART = ("method", "backbone")  # what makes another line of a figure, unless it is x


def study_rows(results: Results, name: str) -> Json:
    """The study `name` of params.yaml as plain values; fractions, not percentages.

    {"name", "title",
     "x": the keys of its setting(s), "x_label": these as text,
     "scale": of the horizontal axis: "linear", "log", "symlog" (zero or negative values beside
        others that span more than a factor of ten) or "category" (not numbers, or several keys),
     "categories": the labels along the axis in order, of scale "category" (else empty),
     "by": which of method and backbone differ among the rows beyond x, "lines": their values as
        text, a line of the figure each ([""] where none differs),
     "datasets": those that any row has scores of,
     "rows": [{"run", "runs", "seeds": runs equal but for their seed (and equal in x),
         "apart": {key of "by": the row's value}, "line": these as text,
         "x": values, "x_labels": each as text, "x_label": together,
         "place": on the horizontal axis: the value of x, or the number of its category,
         "compared_with": the row's run that it is compared with, the line's first in params.yaml;
            None for that row itself,
         "images_per_s", "train_seconds", "device_hours", "images_seen": means, None for a baseline,
         "scores": {data set: {"knn_top1" and "probe_top1": {
             "mean", "std" (over seeds, None of one), "values" (one for each run),
             "low", "high": bootstrap interval over test images,
             "difference", "difference_low", "difference_high": from "compared_with", on the same
                images, and "p", adjusted (Holm) over all comparisons of this score on this data
                set; None where there is nothing to compare with}}}}],
         rows by line, then by x where that is a number, else as the study names its runs,
     "differing": {line: keys other than x in which its rows differ too, so that x is not the
        only cause}; lines without any are left out,
     "unfinished": runs of the study that are not trained,
     "unscored": [{"dataset", "run"}]: trained, but not evaluated there}

    Raises UserError when runs of a data set were scored on different images.
    """
    return studies(results, [name])[name]


def studies(results: Results, names: Iterable[str] | None = None) -> dict[str, Json]:
    """`study_rows` of several studies (by default all), with one bootstrap for each data set."""
    declared = results.params.studies
    chosen = list(declared if names is None else names)
    rows = {name: _rows(results, name) for name in chosen}
    every = [row for some in rows.values() for row in some]
    for dataset in results.datasets:
        if groups := [group for row in every if (group := _scored(results, dataset, row))]:
            sampled = Sampled(results, dataset, groups, SCORES)
            for some in rows.values():
                _add_scores(results, dataset, some, sampled)
    return {name: _study(results, name, rows[name]) for name in chosen}


def _study(results: Results, name: str, rows: list[Row]) -> Json:
    study = results.params.studies[name]
    keys = keys_of(study.x)
    unscored = [
        {"dataset": dataset, "run": run} for dataset, run in results.unscored if run in study.runs
    ]
    return {
        "name": name,
        "title": study.title or name.replace("_", " "),
        "x": keys,
        "x_label": ", ".join(keys),
        **_axis(sorted(rows, key=lambda row: study.runs.index(row["run"]))),
        "by": _apart(results, rows, keys),
        "lines": list(dict.fromkeys(row["line"] for row in rows)),
        "datasets": [d for d in results.datasets if any(d in row["scores"] for row in rows)],
        "rows": rows,
        "differing": dict(_differing(results, rows, keys)),
        "unfinished": [run for run in study.runs if run in results.unfinished],
        "unscored": unscored,
    }


def keys_of(x: str | Sequence[str]) -> list[str]:
    return [x] if isinstance(x, str) else list(x)


# --- rows -------------------------------------------------------------------------------------


def _rows(results: Results, name: str) -> list[Row]:
    """Without scores; of the trained runs, in order."""
    study = results.params.studies[name]
    keys = keys_of(study.x)
    groups: dict[str, Row] = {}
    for run in study.runs:
        if run not in results.pretrain:
            continue
        made = results.pretrain[run]
        known = flat(made)
        x = [known.get(key) for key in keys]
        same = json.dumps([x, _without_seed(made)], sort_keys=True)
        row = groups.setdefault(same, {"run": run, "runs": [], "seeds": [], "x": x})
        row["runs"].append(run)
        row["seeds"].append(known["seed"])
    rows = list(groups.values())
    by = _apart(results, rows, keys)
    first: dict[str, str] = {}
    for row in rows:
        same_made = [results.pretrain[run] for run in row["runs"]]
        row["apart"] = {key: same_made[0][key] for key in by}
        row["line"] = " ".join(row["apart"].values())
        row["x_labels"] = [value_in_words(value) for value in row["x"]]
        row["x_label"] = ", ".join(row["x_labels"])
        base = first.setdefault(row["line"], row["run"])
        row["compared_with"] = None if base == row["run"] else base
        row |= {**speeds(same_made), "scores": {}}
    if _numeric(rows):
        rows.sort(key=lambda row: row["x"])  # equal ones stay in order
    lines = list(first)
    return sorted(rows, key=lambda row: lines.index(row["line"]))


def _apart(results: Results, rows: Sequence[Row], keys: Sequence[str]) -> list[str]:
    """Those of method and backbone in which rows differ beyond x."""
    return [
        key
        for key in APART
        if key not in keys and len({results.pretrain[row["run"]][key] for row in rows}) > 1
    ]


def _axis(rows: list[Row]) -> Json:
    """The scale of x and its categories, of rows in the study's order; gives each row its place."""
    if not _numeric(rows):
        labels = list(dict.fromkeys(row["x_label"] for row in rows))
        for row in rows:
            row["place"] = labels.index(row["x_label"])
        return {"scale": "category", "categories": labels}
    for row in rows:
        row["place"] = row["x"][0]
    places = {row["place"] for row in rows}
    positive = [place for place in places if place > 0]
    wide = len(positive) > 1 and max(positive) > 10 * min(positive)
    scale = ("log" if len(positive) == len(places) else "symlog") if wide else "linear"
    return {"scale": scale, "categories": []}


def _numeric(rows: Sequence[Row]) -> bool:
    return bool(rows) and all(
        len(row["x"]) == 1
        and isinstance(row["x"][0], int | float)
        and not isinstance(row["x"][0], bool)
        for row in rows
    )


def _differing(
    results: Results, rows: Sequence[Row], keys: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
    """line → other keys in which its rows differ, of those that all of them have: what only some
    have, such as a method's own settings, comes with x."""
    for line in dict.fromkeys(row["line"] for row in rows):
        known = [_without_seed(results.pretrain[r["run"]]) for r in rows if r["line"] == line]
        shared = set.intersection(*map(set, known)) - set(keys)
        differing = sorted(
            key for key in shared if any(some[key] != known[0][key] for some in known)
        )
        if differing:
            yield line, differing


def _without_seed(made: Mapping[str, Any]) -> dict[str, Any]:
    """What was learnt, by its settings."""
    return {key: value for key, value in effective(made).items() if key != "seed"}


# --- scores -----------------------------------------------------------------------------------


def _scored(results: Results, dataset: str, row: Row) -> Group:
    return tuple(run for run in row["runs"] if (dataset, run) in results.metrics)


def _add_scores(results: Results, dataset: str, rows: Sequence[Row], sampled: Sampled) -> None:
    """Those of a data set, to the study's rows that have some there."""
    groups = {row["run"]: group for row in rows if (group := _scored(results, dataset, row))}
    bases = {
        row["run"]: row["compared_with"]
        for row in rows
        if row["run"] in groups and row["compared_with"] in groups
    }
    for key in SCORES:
        pairs = [(groups[run], groups[base]) for run, base in bases.items()]
        found = dict(zip(bases, sampled.compare(key, pairs), strict=True))
        for row in rows:
            if its_runs := groups.get(row["run"]):
                values = [results.metrics[dataset, run][key] for run in its_runs]
                compared = found.get(row["run"]) or (None,) * len(DIFFERENCE)
                row["scores"].setdefault(dataset, {})[key] = {
                    **sampled.score(key, its_runs, values),
                    **dict(zip(DIFFERENCE, compared, strict=True)),
                }


def compared(score: Json) -> Comparison | None:
    """With the first of the row's line; None for that itself."""
    parts = [score[key] for key in DIFFERENCE]
    return None if parts[0] is None else Comparison(*parts)
