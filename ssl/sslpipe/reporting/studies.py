"""A study: runs side by side along one of their settings, how sure their scores are, what differs.

Pure functions of `Results`; `studies_text` makes a page of it, `figures.study` a figure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sslpipe.errors import UserError
from sslpipe.reporting import statistics
from sslpipe.reporting.leaderboard import DIGITS, speeds
from sslpipe.reporting.results import Results
from sslpipe.reporting.settings import effective, flat

Json = dict[str, Any]
Row = dict[str, Any]

SCORES = {"knn_top1": "knn", "probe_top1": "probe"}  # score → the answers that it is of
APART = ("method", "backbone")  # what makes another line of a figure, unless it is x
LOCAL = ("views.local_scale", "views.local_size")


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
    sampled = {
        dataset: _Sampled(results, dataset, [row for some in rows.values() for row in some])
        for dataset in results.datasets
    }
    return {name: _study(results, name, rows[name], sampled) for name in chosen}


def _study(results: Results, name: str, rows: list[Row], sampled: Mapping[str, _Sampled]) -> Json:
    study = results.params.studies[name]
    keys = keys_of(study.x)
    for dataset, sample in sampled.items():
        for row, scores in zip(rows, sample.scores(rows), strict=True):
            if scores is not None:
                row["scores"][dataset] = scores
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


def in_words(value: Any) -> str:
    """A setting's value as it stands in params.yaml, numbers as short as they go."""
    if isinstance(value, bool | type(None)):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(map(in_words, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


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
        made = [results.pretrain[run] for run in row["runs"]]
        row["apart"] = {key: made[0][key] for key in by}
        row["line"] = " ".join(row["apart"].values())
        row["x_labels"] = [in_words(value) for value in row["x"]]
        row["x_label"] = ", ".join(row["x_labels"])
        base = first.setdefault(row["line"], row["run"])
        row["compared_with"] = None if base == row["run"] else base
        row |= {**speeds(made), "scores": {}}
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
    """What was learnt, by its settings; without those of local crops where there are none."""
    keys = effective(made)
    without = ("seed", *LOCAL) if keys.get("views.local") == 0 else ("seed",)
    return {key: value for key, value in keys.items() if key not in without}


# --- scores -----------------------------------------------------------------------------------


class _Sampled:
    """Rows on the same bootstrap samples of a data set's test images."""

    def __init__(self, results: Results, dataset: str, rows: Sequence[Row]) -> None:
        self.dataset, self.report, self.metrics = dataset, results.params.report, results.metrics
        groups = dict.fromkeys(tuple(runs) for row in rows if (runs := self._scored(row)))
        answers = {run: _answers(results, dataset, run) for group in groups for run in group}
        _same_images(dataset, answers)
        columns = [(score, group) for score in SCORES for group in groups]
        self.place = {column: i for i, column in enumerate(columns)}
        if not columns:
            return
        self.hits = np.stack(
            [statistics.mean_hits(answers, group, SCORES[score]) for score, group in columns],
            axis=1,
        )
        first = next(iter(answers.values()))
        self.draws = statistics.bootstrap(
            self.hits,
            first["label"],
            first["private"],
            resamples=self.report.resamples,
            seed=self.report.seed,
        ).overall

    def scores(self, rows: Sequence[Row]) -> list[Json | None]:
        """Of each row, None where it has none here."""
        found: list[Json | None] = [{} if self._scored(row) else None for row in rows]
        for score in SCORES:
            adjusted = self._adjusted(rows, score)
            for row, scores in zip(rows, found, strict=True):
                if scores is not None:
                    scores[score] = self._score(row, score) | self._difference(
                        row, rows, score, adjusted.get(row["run"])
                    )
        return found

    def _scored(self, row: Row) -> list[str]:
        return [run for run in row["runs"] if (self.dataset, run) in self.metrics]

    def _column(self, row: Row, score: str) -> int | None:
        return self.place.get((score, tuple(self._scored(row))))

    def _base(self, row: Row, rows: Sequence[Row], score: str) -> int | None:
        """The column that the row is compared with, if it has scores."""
        bases = [other for other in rows if other["run"] == row["compared_with"]]
        return self._column(bases[0], score) if bases else None

    def _score(self, row: Row, score: str) -> Json:
        values = [self.metrics[self.dataset, run][score] for run in self._scored(row)]
        mean = float(np.mean(values))
        draws = self.draws[:, self._column(row, score)]
        low, high = statistics.score_interval(draws, mean, len(self.hits), self.report.confidence)
        std = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return {
            "mean": mean, "std": std, "values": values,
            "low": round(low, DIGITS), "high": round(high, DIGITS),
        }  # fmt: skip

    def _difference(
        self, row: Row, rows: Sequence[Row], score: str, p: float | None
    ) -> dict[str, float | None]:
        keys = ("difference", "difference_low", "difference_high", "p")
        one, other = self._column(row, score), self._base(row, rows, score)
        if p is None or one is None or other is None:
            return dict.fromkeys(keys)
        difference = self.hits[:, one].mean() - self.hits[:, other].mean()
        between = self.draws[:, one] - self.draws[:, other]
        ends = statistics.interval(between, self.report.confidence)
        values = [round(float(value), DIGITS) + 0.0 for value in (difference, *ends, p)]
        return dict(zip(keys, values, strict=True))

    def _adjusted(self, rows: Sequence[Row], score: str) -> dict[str, float]:
        """run → p value that it differs from its base, Holm's adjustment over all of these."""
        pairs = {}
        for row in rows:
            one, other = self._column(row, score), self._base(row, rows, score)
            if one is not None and other is not None:
                pairs[row["run"]] = statistics.paired_p_values(self.hits[:, [one, other]])[0, 1]
        return dict(zip(pairs, statistics.holm(list(pairs.values())).tolist(), strict=True))


def _answers(results: Results, dataset: str, run: str) -> Mapping[str, np.ndarray]:
    if (dataset, run) not in results.predictions:
        path = results.layout.predictions(run, dataset)
        raise UserError(f"{path}: missing; it is made by: sslpipe evaluate {run} {dataset}")
    return results.predictions[dataset, run]


def _same_images(dataset: str, answers: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    if not answers:
        return
    (first, expected), *others = answers.items()
    for run, arrays in others:
        if not all(np.array_equal(arrays[key], expected[key]) for key in ("label", "private")):
            raise UserError(
                f"{dataset}: {run} and {first} were scored on different images, evaluate again"
            )
