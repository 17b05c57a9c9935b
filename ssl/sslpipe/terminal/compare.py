"""Two runs or settings side by side: what differs, what each scores and costs, what follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.text import Text

from sslpipe.errors import UserError
from sslpipe.layout import Layout
from sslpipe.params import Params, resolve
from sslpipe.provenance.record import Artefact
from sslpipe.reporting import statistics
from sslpipe.reporting.leaderboard import RESAMPLED, legend, remarks, speeds
from sslpipe.reporting.leaderboard_text import DASH, duration
from sslpipe.reporting.results import Results
from sslpipe.reporting.settings import Setting, differing, effective, is_baseline, settings
from sslpipe.reporting.trained import IDENTITY, in_short, value_in_words
from sslpipe.terminal.console import (
    FAINT,
    TITLE,
    WARNING,
    Column,
    print_table,
    print_title,
    stdout,
)

COMPARED = ("knn_top1", "probe_top1", "public_top1", "private_top1", "finetune_top1")


class Difference(NamedTuple):
    """One score of two settings on a data set, fractions; difference, interval: one minus other."""

    key: str
    one: float
    other: float
    low: float
    high: float
    p: float
    images: int

    @property
    def difference(self) -> float:
        return self.one - self.other

    def verdict(self, confidence: float) -> int:
        """1: the one is better, -1: the other, 0: they cannot be told apart."""
        return int(np.sign(self.difference)) if self.p < 1 - confidence else 0


def print_comparison(
    params: Params,
    layout: Layout,
    one: str,
    other: str,
    *,
    alone: bool = False,
    console: Console | None = None,
) -> None:
    """On the standard output by default.

    A run that others repeat with other seeds stands for all of them, unless `alone`, or unless the
    two are seeds of the same setting. Raises UserError for an unknown or untrained run, and for
    the same run twice.
    """
    results = Results(params, layout)
    a, b = sides(results, one, other, alone=alone)
    absent = {dataset: unscored(results, dataset, a, b) for dataset in results.datasets}
    found = {
        dataset: differences(results, dataset, a, b)
        for dataset, run in absent.items()
        if run is None
    }
    console = console or stdout()
    for name, side in (("A", a), ("B", b)):
        seeds = f", {len(side.runs)} seeds: {', '.join(side.runs)}" if len(side.runs) > 1 else ""
        about = in_short(results.pretrain[side.name])
        console.print(Text.assemble((f"{name}  {side.name}", TITLE), (f"  {about}{seeds}", FAINT)))
    _print_parameters(console, results, a, b)
    _print_cost(console, results, a, b)
    for dataset, scores in found.items():
        _print_differences(console, params, dataset, scores)
        run = next(run for run in a.runs if (dataset, run) in results.metrics)
        for remark in remarks(results, dataset, results.metrics[dataset, run]):
            console.print(Text(f"Note: {remark}.", style=WARNING))
    print_title(console, "In words")
    confidence = params.report.confidence
    for line in (*_conclusions(found, a, b, confidence), *_cautions(results, a, b, bool(found))):
        console.print(Text(line))
    for dataset, run in absent.items():
        if run is not None:
            line = f"{dataset}: not compared; first: sslpipe evaluate {run} {dataset}"
            console.print(Text(line, style=WARNING))


def sides(results: Results, one: str, other: str, *, alone: bool) -> tuple[Setting, Setting]:
    """What the two names stand for; see `print_comparison`."""
    for name in (one, other):
        resolve(results.params, name)
    if one == other:
        raise UserError(f"compare: two different runs are needed, not {one} twice")
    for name in (one, other):
        if name not in results.pretrain:
            raise UserError(results.whose.trouble(Artefact("encoder", name)))
    single = Setting(one, (one,)), Setting(other, (other,))
    if alone:
        return single
    a, b = (
        next(some for some in settings(results.pretrain) if name in some.runs)
        for name in (one, other)
    )
    return single if a == b else (a, b)


def unscored(results: Results, dataset: str, a: Setting, b: Setting) -> str | None:
    """A run to evaluate, where one of the two has no score at all."""
    return next(
        (
            side.runs[0]
            for side in (a, b)
            if not any((dataset, run) in results.metrics for run in side.runs)
        ),
        None,
    )


def differences(results: Results, dataset: str, a: Setting, b: Setting) -> list[Difference]:
    """All scores that both have, from what they answered for the same images.

    Intervals are of the paired bootstrap, p of McNemar's exact test, or where a side is a mean over
    seeds of the paired t-test. Raises UserError when they were scored on different images.
    """
    answers = [_answers(results, dataset, side) for side in (a, b)]
    every = [one for side in answers for one in side.values()]
    label, private = every[0]["label"], every[0]["private"]
    for some in every:
        if not np.array_equal(some["label"], label):
            raise UserError(
                f"{dataset}: {a.name} and {b.name} were scored on different images, evaluate again"
            )
    names = [
        name
        for name in dict.fromkeys(RESAMPLED[key][0] for key in COMPARED)
        if all(any(name in one for one in side.values()) for side in answers)
    ]
    columns = [
        statistics.mean_hits(side, [run for run in side if name in side[run]], name)
        for name in names
        for side in answers
    ]
    hits = np.stack(columns, axis=1)
    report = results.params.report
    draws = statistics.bootstrap(hits, label, private, resamples=report.resamples, seed=report.seed)
    images = {"overall": np.ones_like(private), "public": ~private, "private": private}
    found = []
    for key in COMPARED:
        name, part = RESAMPLED[key]
        if name not in names:
            continue
        pair = 2 * names.index(name) + np.arange(2)
        some, drawn = hits[images[part]][:, pair], getattr(draws, part)[:, pair]
        low, high = statistics.interval(drawn[:, 0] - drawn[:, 1], report.confidence)
        p = statistics.paired_p_values(some)[0, 1]
        found.append(Difference(key, *some.mean(axis=0).tolist(), low, high, float(p), len(some)))
    return found


def _answers(results: Results, dataset: str, side: Setting) -> dict[str, dict[str, np.ndarray]]:
    """run → its answers, fine-tuned too if it was, of those that have been scored."""
    found = {}
    for run in side.runs:
        if (cell := (dataset, run)) not in results.metrics:
            continue
        if cell not in results.predictions:
            path = results.layout.predictions(run, dataset)
            raise UserError(f"{path}: missing; it is made by: sslpipe evaluate {run} {dataset}")
        found[run] = results.finetune_predictions.get(cell, {}) | results.predictions[cell]
    return found


# --- tables -----------------------------------------------------------------------------------


def _print_parameters(console: Console, results: Results, a: Setting, b: Setting) -> None:
    made = [results.pretrain[side.name] for side in (a, b)]
    values = [effective(some) for some in made]
    keys = differing(*made)
    if made[0]["trained"] != made[1]["trained"]:  # else all that a training has
        keys = {key for key in keys if all(key in some for some in values)}
    ordered = [key for key in IDENTITY if key in keys]
    pairs = {
        key: [value_in_words(some[key]) if key in some else DASH for some in values]
        for key in (*ordered, *sorted(keys.difference(IDENTITY)))
    }
    pairs.pop("seed", None)
    seeds = [
        ", ".join(str(results.pretrain[run]["parameters"]["pretrain"]["seed"]) for run in side.runs)
        for side in (a, b)
    ]
    if seeds[0] != seeds[1]:
        pairs["seed"] = seeds
    for key, value in {
        "corpus sha256": [some["inputs"]["corpus_sha256"][:16] for some in made],
        **{key: [some["versions"][key] for some in made] for key in made[0]["versions"]},
    }.items():
        if value[0] != value[1]:
            pairs[key] = value
    print_title(console, "What differs")
    if pairs:
        _print_pairwise(console, pairs)
    else:
        console.print(Text("Nothing that has an effect on what is learnt."))


def _print_cost(console: Console, results: Results, a: Setting, b: Setting) -> None:
    made = [[results.pretrain[run] for run in side.runs] for side in (a, b)]
    if all(is_baseline(some[0]) for some in made):
        return
    costs = [speeds(some) for some in made]

    def shown(key: str, words: str = "{:,.0f}") -> list[str]:
        return [DASH if some[key] is None else words.format(some[key]) for some in costs]

    seconds = [some["train_seconds"] for some in costs]
    devices = [
        ", ".join(dict.fromkeys(one["device"] for one in some)) if some[0]["trained"] else DASH
        for some in made
    ]
    print_title(console, "Cost", "mean over seeds" if len(a.runs) + len(b.runs) > 2 else "")
    _print_pairwise(
        console,
        {
            "training": [DASH if some is None else duration(some) for some in seconds],
            "device-hours": shown("device_hours", "{:,.2f}"),
            "images seen": shown("images_seen"),
            "images/s": shown("images_per_s"),
            "device": devices,
        },
    )


def _print_pairwise(console: Console, pairs: dict[str, list[str]]) -> None:
    columns = [Column("", list(pairs))]
    columns += [Column(side, [pair[i] for pair in pairs.values()]) for i, side in enumerate("AB")]
    print_table(console, columns)


def _print_differences(
    console: Console, params: Params, dataset: str, found: Sequence[Difference]
) -> None:
    headings, confidence = legend(params), params.report.confidence
    print_title(console, dataset, f"{found[0].images:,} test images; A − B in points")
    print_table(
        console,
        [
            Column("", [headings[some.key]["heading"] for some in found]),
            Column("A", [f"{100 * some.one:.1f}" for some in found], right=True, dropped=2),
            Column("B", [f"{100 * some.other:.1f}" for some in found], right=True, dropped=3),
            Column(
                "A − B",
                [
                    Text(f"{100 * some.difference:+.1f}", style=_STYLES[some.verdict(confidence)])
                    for some in found
                ],
                right=True,
            ),
            Column(
                f"{100 * confidence:g} % interval",
                [_points(some) for some in found],
                right=True,
                dropped=1,
            ),
            Column("p", [_p(some.p) for some in found], right=True),
        ],
    )


_STYLES = {1: "green", 0: "", -1: "red"}


# --- words ------------------------------------------------------------------------------------


def _conclusions(
    found: dict[str, list[Difference]], a: Setting, b: Setting, confidence: float
) -> Iterator[str]:
    """A line for each data set, by the probe; of k-NN where it says something else."""
    for dataset, scores in found.items():
        by = {some.key: some for some in scores}
        probe, knn = by["probe_top1"], by["knn_top1"]
        line = f"{dataset}: {_judged(probe, a.name, b.name, confidence, 'the linear probe')}"
        if knn.verdict(confidence) != probe.verdict(confidence):
            line += f" By k-NN: {_judged(knn, a.name, b.name, confidence, 'k-NN')}"
        yield line
    if not found:
        yield "No data set has scores of both, so nothing can be concluded."


def _judged(some: Difference, a: str, b: str, confidence: float, what: str) -> str:
    """Which is better, by how much, how sure."""
    verdict, p = some.verdict(confidence), _p(some.p)
    how = f"p {p}" if p.startswith("<") else f"p = {p}"
    if verdict == 0:
        width = 100 * (some.high - some.low) / 2
        return (
            f"{a} and {b} cannot be told apart by {what} ({100 * some.difference:+.1f} points, "
            f"{_points(some)}, {how}): with {some.images:,} test images, a difference of less than "
            f"about {width:.1f} points does not show."
        )
    better, worse, low, high = (
        (a, b, some.low, some.high) if verdict > 0 else (b, a, -some.high, -some.low)
    )
    return (
        f"{better} is better than {worse} by {100 * abs(some.difference):.1f} points of {what} "
        f"({100 * low:+.1f} to {100 * high:+.1f}, {how})."
    )


def _cautions(results: Results, a: Setting, b: Setting, scored: bool) -> Iterator[str]:
    made = [results.pretrain[side.name] for side in (a, b)]
    if scored and len(a.runs) == len(b.runs) == 1:
        yield (
            "Intervals and p are over test images: each side is a single training, and another seed "
            "may give another score."
        )
    elif scored:
        yield (
            "Scores are means over seeds; intervals and p are over test images and take these seeds "
            "as given."
        )
    if scored:
        yield "Each p is of one score by itself, not adjusted for how many are looked at."
    if made[0]["corpus"] is not None and made[0]["corpus"] == made[1]["corpus"]:
        hashes = {some["inputs"]["corpus_sha256"] for some in made}
        if len(hashes) > 1:
            yield f"They saw different images: corpus {made[0]['corpus']} has changed between them."
    if any(is_baseline(some) for some in made):
        return
    one, other = (
        speeds([results.pretrain[run] for run in side.runs])["train_seconds"] for side in (a, b)
    )
    devices = {
        (results.pretrain[run]["device"], results.pretrain[run]["gpus"]) for run in a.runs + b.runs
    }
    if len(devices) > 1:
        yield "They were trained on different devices, so their times do not compare."
    elif one and other:
        slower, faster = (a, b) if one >= other else (b, a)
        ratio = max(one, other) / min(one, other)
        if ratio < 1.05:
            yield "Both took equally long to train, within 5 %."
        else:
            yield f"{slower.name} took {ratio:.1f} times as long to train as {faster.name}."


def _points(some: Difference) -> str:
    return f"{100 * some.low:+.1f} to {100 * some.high:+.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
