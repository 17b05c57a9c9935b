"""Runs of a data set on the same test images: their scores, how sure these are, what differs.

The one comparison that leaderboard, studies, claims and `sslpipe compare` rest on. Several runs in one
group, which differ in nothing but their seed, count with their mean on each image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sslpipe.data.splits import SPLITS
from sslpipe.errors import UserError
from sslpipe.reporting.results import Results
from sslpipe.reporting.scores import answers_to
from sslpipe.reporting.statistics import (
    bootstrap,
    holm,
    interval,
    mean_hits,
    paired_p_values,
    score_interval,
)

Json = dict[str, Any]
Group = tuple[str, ...]  # runs

DIGITS = 6  # of statistics; beyond them processors may differ
PER_CLASS = ("knn", "probe")


class Comparison(NamedTuple):
    """Of two groups in a score, one minus other, as fractions: the difference and its interval, and
    p, adjusted over all that were compared with it."""

    difference: float
    low: float
    high: float
    p: float

    def verdict(self, confidence: float) -> str:
        """better or worse (the one than the other), or tied: the test does not tell them apart."""
        if self.p >= 1 - confidence:
            return "tied"
        return "better" if self.difference > 0 else "worse"

    def __neg__(self) -> Comparison:
        """The other minus the one."""
        # 0.0 - x is never -0.0
        return Comparison(0.0 - self.difference, 0.0 - self.high, 0.0 - self.low, self.p)


def score_of(values: Sequence[float]) -> Json:
    """mean, std over seeds (None of one), low and high (None: without an interval), values."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    mean = float(np.mean(values))
    return {"mean": mean, "std": std, "low": None, "high": None, "values": list(values)}


class Sampled:
    """Groups of runs on the same bootstrap samples of a data set's test images."""

    def __init__(
        self,
        results: Results,
        dataset: str,
        groups: Iterable[Group],
        scores: Iterable[str] | None = None,
    ) -> None:
        """At least one group. scores: keys with answers; None for all that there are answers of.

        Raises UserError when runs were scored on different images.
        """
        groups = list(dict.fromkeys(groups))
        self.report = results.params.report
        names = [which[0] for key in scores or () if (which := answers_to(key))]
        answers = _answers(
            results,
            dataset,
            [run for group in groups for run in group],
            tuned=scores is None or "finetune" in names,
        )
        first = next(iter(answers.values()))
        label, private = first["label"], first["private"]
        if scores is None:
            every = [*PER_CLASS, *(name for its in answers.values() for name in its)]
            names = [name for name in every if name not in ("label", "private")]
        columns = {
            (name, group): mean_hits(answers, runs, name)
            for name in dict.fromkeys(names)
            for group in groups
            if (runs := [run for run in group if name in answers[run]])
        }
        self._place = {column: place for place, column in enumerate(columns)}
        self._hits = np.stack(list(columns.values()), axis=1)
        self._draws = bootstrap(
            self._hits,
            label,
            private,
            resamples=self.report.resamples,
            seed=self.report.seed,
            per_class=len(PER_CLASS) * len(groups) if scores is None else 0,
        )
        self._images = {"public": ~private, "private": private}

    def drawn(self, key: str, group: Group) -> tuple[np.ndarray, np.ndarray] | None:
        """A score's hits (images,) and bootstrap draws (resamples,); None without answers to it."""
        name, part = answers_to(key) or ("", "overall")
        draws, place = getattr(self._draws, part), self._place.get((name, group))
        if draws is None or place is None:
            return None
        return self._hits[self._images.get(part, slice(None)), place], draws[:, place]

    def score(self, key: str, group: Group, values: Sequence[float]) -> Json:
        """`score_of` the values of the group's runs, with its interval where there are answers."""
        score = score_of(values)
        if found := self.drawn(key, group):
            hits, draws = found
            ends = score_interval(draws, score["mean"], len(hits), self.report.confidence)
            score["low"], score["high"] = (round(end, DIGITS) for end in ends)
        return score

    def compare(self, key: str, pairs: Sequence[tuple[Group, Group]]) -> list[Comparison]:
        """Of each pair one minus other, by the paired bootstrap; p of McNemar's exact test, or of a
        paired t-test where one of the two is a mean over seeds, adjusted by Holm over these pairs."""
        groups = list(dict.fromkeys(group for pair in pairs for group in pair))
        if not groups:
            return []
        hits, draws = map(np.array, zip(*(self.drawn(key, group) for group in groups), strict=True))
        places = [tuple(map(groups.index, pair)) for pair in pairs]
        p_values = paired_p_values(hits.T)
        found = []
        for (i, j), p in zip(places, holm([p_values[place] for place in places]), strict=True):
            difference = hits[i].mean() - hits[j].mean()
            ends = interval(draws[i] - draws[j], self.report.confidence)
            # + 0.0 turns -0.0 into 0.0
            values = (round(float(value), DIGITS) + 0.0 for value in (difference, *ends, p))
            found.append(Comparison(*values))
        return found


def _answers(
    results: Results, dataset: str, runs: Sequence[str], *, tuned: bool
) -> dict[str, dict[str, np.ndarray]]:
    """run → what it answered; tuned: when fine-tuned, too. Refused where it was of different images."""
    found = {run: results.predictions[dataset, run] for run in runs}
    _same_images(dataset, {run: results.metrics[dataset, run] for run in runs}, found)
    if not tuned:
        return found
    for run, answers in found.items():
        also = results.finetune_predictions.get((dataset, run), {})
        if also and not np.array_equal(also["label"], answers["label"]):
            raise UserError(
                f"{dataset}: {run} was fine-tuned on other images than it was scored on; run "
                f"sslpipe finetune {run} {dataset}"
            )
        found[run] = {**also, **answers}
    return found


def _same_images(
    dataset: str,
    metrics: Mapping[str, Mapping[str, Any]],
    answers: Mapping[str, Mapping[str, np.ndarray]],
) -> None:
    first, *others = metrics
    for run in others:
        for key in ("classes", *(f"{split}_images" for split in SPLITS), "chance_top1"):
            if metrics[run][key] != metrics[first][key]:
                raise UserError(
                    f"{dataset}: {key} is {metrics[run][key]} for {run} but {metrics[first][key]} for "
                    f"{first}; they were scored on different images, evaluate again"
                )
        for key in ("label", "private"):
            if not np.array_equal(answers[run][key], answers[first][key]):
                raise UserError(
                    f"{dataset}: {run} and {first} were scored on different images, evaluate again"
                )
