"""Telling one engine what the other has done, never what it has not.

`dvc commit --force` and `snakemake --touch` both declare files up to date without a look at how
they were made: after an edit of params.yaml, or with half a run done, either would record a lie.
So each direction is taken only when the other engine vouches for the whole experiment.
"""

import json
import subprocess
import sys
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sslpipe.errors import UserError
from sslpipe.io.progress import say
from sslpipe.layout import PARAMS, Layout
from sslpipe.params import load
from sslpipe.provenance.whose import Whose

NO_GIT = "git init, or, to do without: dvc config core.no_scm true"


@dataclass(frozen=True)
class SnakemakeState:
    """pending: outputs that Snakemake would make again. unrecorded: outputs that it did not make,
    whose parameters it therefore does not watch. missing: outputs that it would not make again
    though they are gone, as all that is made of them is there and up to date."""

    pending: list[str]
    unrecorded: list[str]
    missing: list[str] = field(default_factory=list)

    @property
    def vouches(self) -> bool:
        return not self.pending and not self.unrecorded


def sync() -> str:
    """Bring the engine that lags up to date. Returns a sentence for the user.

    Raises UserError when neither engine has the whole experiment up to date.
    """
    snakemake = snakemake_state()
    dvc_clean = dvc_is_clean()
    wrong = Whose(load(PARAMS), Layout()).wrong()
    if wrong and (snakemake.vouches or dvc_clean):
        raise UserError(
            f"no engine can vouch for what is of something else: {wrong[0]}"
            + (f" ({len(wrong) - 1} more: sslpipe doctor)" if len(wrong) > 1 else "")
        )
    if snakemake.vouches and dvc_clean:
        return "Snakemake and DVC agree: nothing to do."
    if snakemake.vouches:
        if snakemake.missing:
            make_again(snakemake.missing)
        for stage in ("sources", "code"):  # of which Snakemake has no rules
            run("sslpipe", stage)
        run("dvc", "commit", "--force")
        if not dvc_is_clean():
            raise UserError("dvc commit left changes; see: dvc status")
        touch()  # DVC has put links into its cache in the files' places, with new times
        return "DVC now knows what Snakemake has made."
    if dvc_clean:
        touch()
        after = snakemake_state()
        if not after.vouches:
            raise UserError(
                f"snakemake --touch left jobs: {_few(after.pending or after.unrecorded)}"
            )
        return "Snakemake now knows what DVC has made."
    if not snakemake.pending:
        raise UserError(
            f"neither engine has made {_few(snakemake.unrecorded)}, so neither can vouch for it: "
            "delete it and run snakemake, or run dvc repro"
        )
    raise UserError(
        "neither engine has the whole experiment up to date, so there is nothing to tell the "
        f"other: run snakemake or dvc repro first (Snakemake would make {_few(snakemake.pending)})"
    )


def make_again(files: list[str]) -> None:
    """Have Snakemake make files that it would not by itself, as its code, settings and inputs are what
    they were: so with the same bytes. Its jobs print what they always do.

    Raises UserError when a job fails."""
    say(f"DVC wants what Snakemake needs no more; making again: {_few(files)}")
    command = [sys.executable, "-m", "snakemake", *files, "--cores", "all", "--quiet", "all"]
    if subprocess.run(command).returncode:
        raise UserError(
            f"{_few(files)} could not be made again, for the reason above; "
            "Snakemake alone goes on without"
        )


def touch() -> None:
    run("snakemake", "--touch", "--forceall", "--cores", "1", "--quiet", "all")


def snakemake_state() -> SnakemakeState:
    """What Snakemake thinks of every output of the default target."""
    table = run("snakemake", "--summary", "--cores", "1")
    rows = [line.split("\t") for line in table.splitlines() if "\t" in line]
    if not rows:
        raise UserError("snakemake --summary printed no table; see: snakemake -n")
    header, *rows = rows
    output, plan = header.index("output_file"), header.index("plan")
    pending = {row[output]: None for row in rows if row[plan] != "no update"}
    return SnakemakeState(
        pending=list(pending),
        unrecorded=[row[output] for row in rows if not _record(row[output]).exists()],
        missing=[
            row[output]
            for row in rows
            if row[output] not in pending and not Path(row[output]).exists()
        ],
    )


def dvc_is_clean() -> bool:
    return not dvc_changes()


def dvc_changes() -> dict[str, list[Any]]:
    """What `dvc status` tells of each stage that has changed."""
    return json.loads(run("dvc", "status", "--json"))


def dvc_stages() -> set[str]:
    """The names of all stages, as dvc.lock has them."""
    return set(run("dvc", "stage", "list", "--name-only").split())


def run(engine: str, *arguments: str) -> str:
    """The standard output of the engine of this very environment, whatever is on PATH.

    Raises UserError with its own reason on failure."""
    command = [sys.executable, "-m", engine, *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        reason = _reason(engine, done.stderr.strip() or done.stdout.strip())
        raise UserError(f"{engine} {' '.join(arguments)} failed: {reason}")
    return done.stdout


def _reason(engine: str, said: str) -> str:
    """The line of an engine's last words that says what is wrong."""
    lines = said.splitlines() or ["no message"]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    # DVC names a file that it cannot read first, and then goes into detail.
    by_dvc = engine == "dvc" and "Traceback" not in said
    reason = errors[0] if errors else lines[0 if by_dvc else -1]
    return f"{reason}: {NO_GIT}" if reason.endswith("is not a git repository") else reason


def _record(output: str) -> Path:
    """Where Snakemake keeps the record of how it made a file: code, parameters, input hashes."""
    return Path(".snakemake/metadata") / b64encode(output.encode()).decode()


def _few(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more}"
