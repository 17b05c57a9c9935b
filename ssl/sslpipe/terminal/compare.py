"""Two runs or settings side by side: what differs, what each scores and costs, what follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from sslpipe.errors import UserError
from sslpipe.layout import Layout
from sslpipe.params import Params, resolve
from sslpipe.provenance.record import Artefact
from sslpipe.reporting.leaderboard import remarks, speeds
from sslpipe.reporting.paired import Comparison, Sampled
from sslpipe.reporting.results import Results
from sslpipe.reporting.scores import legend
from sslpipe.reporting.settings import Setting, differing, effective, is_baseline, settings
from sslpipe.reporting.trained import IDENTITY, in_short
from sslpipe.reporting.words import (
    DASH,
    VERDICTS,
    how_sure,
    p_value,
    percent,
    points,
    points_span,
    share,
    spent,
    value_in_words,
)
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
    """One score of two settings on a data set, fractions; found: one minus other."""

    key: str
    one: float
    other: float
    images: int
    found: Comparison


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
    for dataset, missing in absent.items():
        if missing is not None:
            line = f"{dataset}: not compared; first: sslpipe evaluate {missing} {dataset}"
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

    Each p is of one score by itself. Raises UserError when they were scored on different images.
    """
    one, other = (
        tuple(run for run in side.runs if (dataset, run) in results.metrics) for side in (a, b)
    )
    sampled = Sampled(results, dataset, (one, other), COMPARED)
    found = []
    for key in COMPARED:
        of_one, of_other = sampled.drawn(key, one), sampled.drawn(key, other)
        if of_one is not None and of_other is not None:
            hits, others = of_one[0], of_other[0]
            (comparison,) = sampled.compare(key, [(one, other)])
            found.append(Difference(key, hits.mean(), others.mean(), len(hits), comparison))
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
    costs, headings = [speeds(some) for some in made], legend(results.params.evaluate)
    pairs = {
        headings[key]["heading"]: [spent(key, some[key]) for some in costs]
        for key in ("train_seconds", "device_hours", "images_seen", "images_per_s")
    }
    pairs["device"] = [
        ", ".join(dict.fromkeys(one["device"] for one in some)) if some[0]["trained"] else DASH
        for some in made
    ]
    print_title(console, "Cost", "mean over seeds" if len(a.runs) + len(b.runs) > 2 else "")
    _print_pairwise(console, pairs)


def _print_pairwise(console: Console, pairs: dict[str, list[str]]) -> None:
    columns = [Column("", list(pairs))]
    columns += [Column(side, [pair[i] for pair in pairs.values()]) for i, side in enumerate("AB")]
    print_table(console, columns)


def _print_differences(
    console: Console, params: Params, dataset: str, scores: Sequence[Difference]
) -> None:
    headings, confidence = legend(params.evaluate), params.report.confidence
    styles = {"better": "green", "tied": "", "worse": "red"}
    found = [some.found for some in scores]
    shown = [Text(points(f.difference), styles[f.verdict(confidence)]) for f in found]
    intervals = [points_span(f) for f in found]
    print_title(console, dataset, f"{scores[0].images:,} test images; A − B in points")
    print_table(
        console,
        [
            Column("", [headings[some.key]["heading"] for some in scores]),
            Column("A", [percent(some.one) for some in scores], right=True, dropped=2),
            Column("B", [percent(some.other) for some in scores], right=True, dropped=3),
            Column("A − B", shown, right=True),
            Column(f"{share(confidence)} interval", intervals, right=True, dropped=1),
            Column("p", [p_value(f.p) for f in found], right=True),
        ],
    )


# --- words ------------------------------------------------------------------------------------


def _conclusions(
    found: dict[str, list[Difference]], a: Setting, b: Setting, confidence: float
) -> Iterator[str]:
    """A line for each data set, by the probe; of k-NN where it says something else."""
    for dataset, scores in found.items():
        by = {some.key: some for some in scores}
        probe, knn = by["probe_top1"], by["knn_top1"]
        line = f"{dataset}: {_judged(probe, a.name, b.name, confidence, 'the linear probe')}"
        if knn.found.verdict(confidence) != probe.found.verdict(confidence):
            line += f" By k-NN: {_judged(knn, a.name, b.name, confidence, 'k-NN')}"
        yield line
    if not found:
        yield "No data set has scores of both, so nothing can be concluded."


def _judged(some: Difference, a: str, b: str, confidence: float, what: str) -> str:
    """Which is better, by how much, how sure."""
    found, verdict = some.found, some.found.verdict(confidence)
    if verdict == "worse":
        found, a, b, verdict = -found, b, a, "better"
    line = (
        f"{a} {VERDICTS[verdict]} {b} by {what} ({points(found.difference)} points, "
        f"{how_sure(found)})"
    )
    if verdict == "better":
        return f"{line}."
    return (
        f"{line}: with {some.images:,} test images, a difference of less than about "
        f"{percent((found.high - found.low) / 2)} points does not show."
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
