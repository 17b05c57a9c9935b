"""What runs now, in any terminal of the project, and what can be gone on with."""

from __future__ import annotations

import time

from rich.console import Console
from rich.text import Text

from sslpipe.layout import Layout
from sslpipe.params import Params
from sslpipe.reporting.words import DASH, duration
from sslpipe.running.jobs import Job, running_jobs
from sslpipe.terminal.console import FAINT, WARNING, Column, print_table, print_title, stdout
from sslpipe.upkeep.leftovers import Resumable, outlook, resumable


def print_status(
    layout: Layout, console: Console | None = None, params: Params | None = None
) -> None:
    """params: to tell which interrupted trainings would go on; None where the file has mistakes."""
    console = console or stdout()
    jobs = running_jobs(layout.running_folders())
    if jobs:
        now = time.time()
        print_table(
            console,
            [
                Column(
                    "job", [Text(job.name, style=WARNING if job.orphaned else "") for job in jobs]
                ),
                Column("done", [_done(job) for job in jobs], right=True),
                Column("speed", [_speed(job) for job in jobs], right=True),
                Column("left", [_left(job) for job in jobs], right=True),
                Column("for", [duration(now - job.started) for job in jobs], right=True, dropped=1),
                Column("process", [_process(job) for job in jobs], dropped=2),
                Column("last said", [job.said for job in jobs], dropped=3),
            ],
        )
    else:
        console.print("Nothing runs in this project.")
    for job in jobs:
        if job.engine is not None and job.orphaned:
            console.print(
                Text(
                    f"{job.name}: {job.engine[0]}, which started it, is gone; it goes on by itself. "
                    f"To stop it, its state saved: kill {job.pid}",
                    style=WARNING,
                )
            )
    busy = {job.names[0] for job in jobs if job.stage == "pretrain"}
    interrupted = [state for state in resumable(layout) if state.run not in busy]
    if interrupted:
        print_title(console, "Interrupted trainings", "")
        outlooks = [outlook(params, layout, state.folder).words for state in interrupted]
        _print_interrupted(console, interrupted, outlooks)


def _print_interrupted(console: Console, states: list[Resumable], outlooks: list[str]) -> None:
    print_table(
        console,
        [
            Column("run", [state.run for state in states]),
            Column("step", [f"{state.step:,}" for state in states], right=True),
            Column("saved", [f"{duration(state.age)} ago" for state in states], right=True),
            Column("when it runs again", outlooks),
            Column("folder", [Text(str(state.folder), style=FAINT) for state in states], dropped=1),
        ],
    )


def _done(job: Job) -> str:
    if not job.done:
        return DASH
    if not job.total:
        return f"{job.done:,} {job.unit}"
    return f"{job.done:,} of {job.total:,} {job.unit} ({job.done / job.total:.0%})"


def _speed(job: Job) -> str:
    return f"{job.rate:,.0f} {job.unit}/s" if job.rate else DASH


def _left(job: Job) -> str:
    """By the last speed; the step under way may be one of several."""
    if not (job.total and job.rate):
        return DASH
    passed = time.time() - job.updated
    return duration(max(0.0, (job.total - job.done) / job.rate - passed))


def _process(job: Job) -> str:
    by = f", {job.engine[0]} {job.engine[1]}" if job.engine else ""
    return f"{job.pid}{'' if job.here else f' on {job.host}'}{by}"
