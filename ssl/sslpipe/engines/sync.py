"""Telling one engine what the other has done, never what it has not.

`dvc commit --force` and `snakemake --touch` both declare files up to date without a look at how
they were made: after an edit of params.yaml, or with half a run done, either would record a lie.
So each direction is taken only when the other engine vouches for the whole experiment.
"""

import json
import subprocess
import sys
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslpipe.errors import UserError


@dataclass(frozen=True)
class SnakemakeState:
    """pending: outputs that Snakemake would make again. unrecorded: outputs that it did not make,
    whose parameters it therefore does not watch."""

    pending: list[str]
    unrecorded: list[str]

    @property
    def vouches(self) -> bool:
        return not self.pending and not self.unrecorded


def sync() -> str:
    """Bring the engine that lags up to date. Returns a sentence for the user.

    Raises UserError when neither engine has the whole experiment up to date.
    """
    snakemake = snakemake_state()
    dvc_clean = dvc_is_clean()
    if snakemake.vouches and dvc_clean:
        return "Snakemake and DVC agree: nothing to do."
    if snakemake.vouches:
        run("dvc", "commit", "--force", "--quiet")
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
    return SnakemakeState(
        # A missing file that nothing else waits for counts as "no update".
        pending=[
            row[output]
            for row in rows
            if row[plan] != "no update" or not Path(row[output]).exists()
        ],
        unrecorded=[row[output] for row in rows if not _record(row[output]).exists()],
    )


def dvc_is_clean() -> bool:
    return _call("dvc", "status", "--quiet").returncode == 0


def dvc_changes() -> dict[str, list[Any]]:
    """What `dvc status` tells of each stage that has changed."""
    return json.loads(run("dvc", "status", "--json"))


def dvc_stages() -> set[str]:
    """The names of all stages, as dvc.lock has them."""
    return set(run("dvc", "stage", "list", "--name-only").split())


def run(engine: str, *arguments: str) -> str:
    """The engine's standard output. Raises UserError with the end of what it said on failure."""
    done = _call(engine, *arguments)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise UserError(f"{engine} {' '.join(arguments)} failed: {said[-1]}")
    return done.stdout


def _call(engine: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the engine of this very environment, whatever is on PATH."""
    command = [sys.executable, "-m", engine, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def _record(output: str) -> Path:
    """Where Snakemake keeps the record of how it made a file: code, parameters, input hashes."""
    return Path(".snakemake/metadata") / b64encode(output.encode()).decode()


def _few(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more}"
