"""An experiment to be mishandled: what each stage makes, and whether all is as it was."""

import csv
import filecmp
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed

# In a process of its own: DVC changes global state when it is used as a library.
LIST_STAGES = """
import json
from pathlib import Path

from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed
from dvc.repo import Repo

repo = Repo(".")
relative = lambda path: str(Path(path).relative_to(repo.root_dir))
print("RESULT" + json.dumps([
    dict(name=stage.addressing, command=stage.cmd, outs=[relative(o.fs_path) for o in stage.outs],
         deps=[relative(d.fs_path) for d in stage.deps if type(d).__name__ != "ParamsDependency"])
    for stage in repo.index.stages
]))
"""
# What differs between two runs that are the same: times, and the checksums of files that hold some.
VOLATILE = {
    "images_per_s", "train_seconds", "warm_up_seconds", "data_wait", "mfu", "peak_flops", "started",
    "finished", "resumed", "peak_memory_bytes", "energy_joules", "devices", "finetune_seconds",
    "history_sha256", "sha256", "device_hours",
}  # fmt: skip


TIMED = ("pretrain", "finetune")
SHOWING_TIMES = ("leaderboard", "figures", "study", "claims", "page")
AS_TEXT = (".md", ".csv", ".html", ".png", ".svg")


@dataclass(frozen=True)
class Stage:
    """One job: DVC's name, the command, files made, files and folders read."""

    name: str
    command: str
    outs: tuple[str, ...]
    deps: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.command.split()[1]

    def reads(self, path: str) -> bool:
        return any(path == dep or path.startswith(f"{dep}/") for dep in self.deps)


class Workspace:
    """A copy of a finished experiment, put back to what it was after each fault."""

    def __init__(self, gold: Path, folder: Path, environment: dict[str, str]) -> None:
        self.gold, self.folder = gold, folder
        # As in a pipe: messages in one line each, whatever terminal this runs in.
        self.environment = {k: v for k, v in environment.items() if k != "COLUMNS"}
        shutil.copytree(gold, folder, symlinks=True)
        self.stages = self._stages()
        self.disturbed: list[Stage] = []  # what has to be made again
        self.damaged: set[str] = set()  # files whose contents were changed
        self.struck = True  # whether the fault hit anything

    def start(self, command: str, **options) -> subprocess.Popen:
        """In a process group of its own, its output in a pipe."""
        return subprocess.Popen(
            command.split(), cwd=self.folder, env=self.environment, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, **options,
        )  # fmt: skip

    def run(self, command: str, timeout: float = 300) -> tuple[int, str]:
        """(exit code, all that it printed). What hangs is a failure."""
        process = self.start(command)
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            said, _ = process.communicate()
            return 124, f"{said}\nran for more than {timeout} s"
        return process.returncode, said

    def made(self) -> list[str]:
        """All files that stages make."""
        return sorted(out for stage in self.stages for out in stage.outs)

    def differences(self) -> list[str]:
        """Made files that are not as in the undisturbed experiment, and files that should not be."""
        found = []
        shown = {out for s in self.stages if s.kind in SHOWING_TIMES for out in s.outs}
        for name in self.made():
            if not (self.folder / name).exists():
                found.append(f"{name} is missing")
            elif not sealed(self.folder / name):
                found.append(f"{name} has no fitting checksum")
            elif name in shown and Path(name).suffix in AS_TEXT and self._trained_again():
                pass  # the times of a training that ran again, as text or as a picture
            elif content(self.folder / name) != content(self.gold / name):
                found.append(f"{name} differs")
        for folder in ("data", "reports"):
            extra = {p for p in (self.folder / folder).rglob("*") if p.is_file()}
            known = {
                self.folder / p.relative_to(self.gold) for p in (self.gold / folder).rglob("*")
            }
            found += [f"{p.relative_to(self.folder)} is left over" for p in extra - known]
        return found

    def _trained_again(self) -> bool:
        timed = [out for s in self.stages if s.kind in TIMED for out in s.outs]
        return any(not same_bytes(self.gold / out, self.folder / out) for out in timed)

    def restore(self) -> None:
        """Contents and times of all files of the experiment, but not the engines' records."""
        for folder in ("data", "reports", ".dvc/cache"):
            theirs = self.folder / folder
            for path in sorted((self.gold / folder).rglob("*")):
                target = theirs / path.relative_to(self.gold / folder)
                if path.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                elif not same(path, target):
                    target.unlink(missing_ok=True)
                    shutil.copy2(path, target)
            for path in sorted(theirs.rglob("*"), reverse=True):
                if path.is_file() and not (self.gold / folder / path.relative_to(theirs)).exists():
                    path.unlink()
        shutil.rmtree(self.folder / ".state", ignore_errors=True)
        shutil.copy(self.gold / "dvc.lock", self.folder / "dvc.lock")

    def _stages(self) -> list[Stage]:
        done = subprocess.run(
            [sys.executable, "-c", LIST_STAGES], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        (line,) = [li for li in done.stdout.splitlines() if li.startswith("RESULT")]
        listed = json.loads(line.removeprefix("RESULT"))
        # DVC's own stage writes links and settings, of which Snakemake has no rule.
        own = [s for s in listed if s["name"] not in ("sources", "code")]  # DVC alone has these
        return [Stage(s["name"], s["command"], tuple(s["outs"]), tuple(s["deps"])) for s in own]


def sealed(path: Path) -> bool:
    """Whether a file's own checksum fits, which `content` leaves out; True where there is none."""
    if path.suffix != ".json" or "sha256" not in path.read_text(encoding="utf-8", errors="replace"):
        return True
    try:
        read_sealed(path)
    except UserError:
        return False
    return True


def same_bytes(path: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(path, other, shallow=False)


def same(path: Path, other: Path) -> bool:
    if not other.is_file() or path.stat().st_mtime_ns != other.stat().st_mtime_ns:
        return False
    return filecmp.cmp(path, other, shallow=False)


def content(path: Path) -> object:
    """A file's content without times."""
    raw = path.read_bytes()
    if path.suffix == ".json":
        try:
            values = json.loads(raw)
        except ValueError:
            return raw
        return without_times(values)
    if path.suffix == ".csv" and "history" in path.parts:
        rows = csv.DictReader(io.StringIO(raw.decode(errors="replace")))
        return [{k: v for k, v in row.items() if k not in VOLATILE} for row in rows]
    return raw


def without_times(values: object) -> object:
    if isinstance(values, dict):
        return {k: without_times(v) for k, v in values.items() if k not in VOLATILE}
    return [without_times(value) for value in values] if isinstance(values, list) else values


def wait_until(condition, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def named_repairs(said: str) -> list[str]:
    """Commands that a message tells to run, as shell lines."""
    found = []
    for line in said.splitlines():
        if match := re.search(r"(rm -r \S+)", line):
            found.append(match[1].rstrip(".'\""))
        elif match := re.search(
            r"(\S+/\S+?): .*delete it(?: and run: (.*?)(?:, or: (.*))?$)?", line
        ):
            found.append(f"rm -f {match[1]}")
            if command := match[3] or match[2]:
                found.append(command)
        elif (match := re.search(r"make it again: (.*)$", line)) or (
            match := re.search(r"stop it.*: (kill \d+)", line)
        ):
            found.append(match[1])
        elif match := re.search(r"has older modification time .* than input (\S+) \(", line):
            found.append(f"touch {match[1]}")
        elif "--unlock" in line:
            found.append("snakemake --unlock --cores 1")
    return list(dict.fromkeys(found))
