"""Faults, one function for each kind: it disturbs, and tells what has to be run to get over it.

Each takes (workspace, engine, stage, random) and returns what the interrupted or next command said.
"""

import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml
from workspace import Stage, Workspace, wait_until

DAY = 86_400


class Engine:
    """How an engine is told to make what one stage makes, and nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name

    def command(self, stages: list[Stage]) -> str:
        if self.name == "dvc":
            return (
                f"dvc repro --single-item --no-run-cache {' '.join(stage.name for stage in stages)}"
            )
        outs = " ".join(out for stage in stages for out in stage.outs)
        return f"snakemake --cores 2 {outs}"


# --- processes --------------------------------------------------------------------------------


def killed(
    number: signal.Signals, *, group: bool
) -> Callable[[Workspace, Engine, Stage, random.Random], str]:
    """The engine, or all processes that it started, at a random moment of the stage."""

    def fault(work: Workspace, engine: Engine, stage: Stage, chance: random.Random) -> str:
        _forget(work, stage)
        process = work.start(engine.command([stage]))
        started = wait_until(
            lambda: _stage_of(process, stage) is not None or process.poll() is not None, 60
        )
        if started and process.poll() is None:
            time.sleep(chance.random() * 0.8 * _seconds(work, stage))
        work.struck = process.poll() is None and _stage_of(process, stage) is not None
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        try:
            said, _ = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
        return said

    return fault


def _seconds(work: Workspace, stage: Stage) -> float:
    """How long the stage took in the undisturbed experiment, by Snakemake's `benchmark:`."""
    rule, *names = stage.command.split()[1:]
    path = work.gold / "logs/benchmark" / "/".join(filter(None, (rule, "_".join(names))))
    header, values = path.with_name(f"{path.name}.tsv").read_text(encoding="utf-8").splitlines()[:2]
    return float(dict(zip(header.split("\t"), values.split("\t"), strict=True))["s"])


def _stage_of(process: subprocess.Popen, stage: Stage) -> psutil.Process | None:
    """The stage's own process among those that an engine has started."""
    words = stage.command.split()[1:]
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                line = child.cmdline()
                if line[-len(words) :] == words and "sslpipe" in " ".join(line):
                    return child
    return None


def both_engines(work: Workspace, engine: Engine, stage: Stage, chance: random.Random) -> str:
    """Snakemake and DVC make the same files at the same time."""
    _forget(work, stage)
    first, second = (work.start(Engine(n).command([stage])) for n in ("snakemake", "dvc"))
    return "".join(process.communicate(timeout=300)[0] for process in (first, second))


# --- the machine ------------------------------------------------------------------------------


def full_disk(work: Workspace, engine: Engine, stage: Stage, chance: random.Random) -> str:
    """The folder that the stage writes into has room for a part of it only."""
    folder = (work.folder / stage.outs[-1]).parent
    sizes = [
        path.stat().st_size for out in stage.outs if (path := work.folder / out).parent == folder
    ]
    needed = sum(-(-size // PAGE) for size in sizes)
    return _in_a_worse_place(
        work, engine, stage, lambda _: _tiny_disk(folder, chance.randrange(needed))
    )


def read_only(work: Workspace, engine: Engine, stage: Stage, chance: random.Random) -> str:
    return _in_a_worse_place(work, engine, stage, _write_protected)


def _in_a_worse_place(work, engine, stage, worse) -> str:
    _forget(work, stage)
    folder = (work.folder / stage.outs[-1]).parent
    with worse(folder):
        code, said = work.run(engine.command([stage]))
    work.struck = code != 0
    if re.search(r'File ".*/sslpipe/', said):
        said += "\nTRACEBACK"
    return said


PAGE = 4096


@contextmanager
def _tiny_disk(folder: Path, pages: int) -> Iterator[None]:
    """The folder with what it holds, and room for so many pages more. What is new in it gets lost."""
    before = shutil.copytree(folder, folder.with_name(f".{folder.name}.before"))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    try:
        shutil.copytree(before, folder, dirs_exist_ok=True)
        (folder / ".ballast").write_bytes(b"x")  # a size of 0 would mean any size
        disk = os.statvfs(folder)
        size = (disk.f_blocks - disk.f_bfree) * disk.f_frsize + pages * PAGE
        subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)
        shutil.rmtree(before)


@contextmanager
def _write_protected(folder: Path) -> Iterator[None]:
    """root may write whatever a file's mode says; not so where the mount forbids it."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def can_mount() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"]).returncode == 0


def clock(ahead: bool) -> Callable[[Workspace, Engine, Stage, random.Random], str]:
    """The stage ran while the clock was wrong: its files' times lie a day from now."""

    def fault(work: Workspace, engine: Engine, stage: Stage, chance: random.Random) -> str:
        when = time.time() + (DAY if ahead else -DAY)
        for out in stage.outs:
            os.utime(work.folder / out, (when, when))
        work.disturbed += readers(work, stage.outs[0])[:1]
        return work.run(engine.command(work.disturbed))[1]

    return fault


# --- contents ---------------------------------------------------------------------------------


def damaged(
    how: str, *, silently: bool
) -> Callable[[Workspace, Engine, Stage, random.Random], str]:
    """One of the files that the stage made is changed. silently: and looks untouched. Then whatever
    reads it runs."""

    def fault(work: Workspace, engine: Engine, stage: Stage, chance: random.Random) -> str:
        path = work.folder / chance.choice([out for out in stage.outs if readers(work, out)])
        damage(path, how, silently, chance)
        work.damaged = {str(path.relative_to(work.folder))}
        reader = chance.choice(readers(work, str(path.relative_to(work.folder))))
        _forget(work, reader)
        work.disturbed.append(reader)
        return work.run(engine.command([reader]))[1]

    return fault


def readers(work: Workspace, path: str) -> list[Stage]:
    return [stage for stage in work.stages if stage.reads(path)]


def damage(path: Path, how: str, silently: bool, chance: random.Random) -> None:
    stat, content = path.stat(), bytearray(path.read_bytes())
    if how == "flipped":
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    else:
        del content[chance.randrange(len(content)) :]
    with path.open("r+b") as file:  # in place: a hard link into the cache as well
        file.write(content)
        file.truncate()
    if silently:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def checkpoint(how: str) -> Callable[[Workspace, Engine, Stage, random.Random], str]:
    """The last checkpoint of an interrupted training is damaged, or both are."""

    def fault(work: Workspace, engine: Engine, stage: Stage, chance: random.Random) -> str:
        _forget(work, stage)
        process = work.start(stage.command)
        run = stage.command.split()[-1]
        found = lambda: sorted((work.folder / ".state" / run).glob("*/step-*.pt"))  # noqa: E731
        wait_until(lambda: len(found()) == 2 or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        process.communicate()
        work.struck = len(found()) > 0
        both = chance.random() < 0.5
        for path in found() if both else found()[-1:]:
            damage(path, how, False, chance)
        return work.run(engine.command([stage]))[1]

    return fault


def dirty_cache(work: Workspace, engine: Engine, stage: Stage, chance: random.Random) -> str:
    """DVC's cache holds a damaged copy of what the stage made, and the file itself is gone."""
    cached = [out for out in stage.outs if out.startswith("data/")]
    path = work.folder / chance.choice(cached)
    entry = _cached(work, path)
    path.unlink()
    work.struck = entry.exists()
    if work.struck:
        damage(entry, "flipped", chance.random() < 0.5, chance)
        work.damaged = {str(path.relative_to(work.folder))}
    return work.run(engine.command([stage]))[1]


def _forget(work: Workspace, stage: Stage) -> None:
    """As if the stage had never run: DVC would else take its files from the cache."""
    for out in stage.outs:
        path = work.folder / out
        if path.exists():
            _cached(work, path).unlink(missing_ok=True)
            path.unlink()
    lock = work.folder / "dvc.lock"
    recorded = yaml.safe_load(lock.read_text(encoding="utf-8"))
    recorded["stages"].pop(stage.name, None)
    lock.write_text(yaml.safe_dump(recorded, sort_keys=False), encoding="utf-8")


def _cached(work: Workspace, path: Path) -> Path:
    """Where DVC keeps its copy of a file."""
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    return work.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


PROCESS = {
    "TERM to the engine": killed(signal.SIGTERM, group=False),
    "TERM to all": killed(signal.SIGTERM, group=True),
    "INT to all (Ctrl-C)": killed(signal.SIGINT, group=True),
    "KILL of the engine": killed(signal.SIGKILL, group=False),
    "KILL of all": killed(signal.SIGKILL, group=True),
    "both engines at once": both_engines,
}
MACHINE = {"disk full": full_disk, "no permission to write": read_only}
CLOCK = {"clock a day ahead": clock(True), "clock a day behind": clock(False)}
CONTENT = {
    "byte flipped": damaged("flipped", silently=False),
    "byte flipped, time kept": damaged("flipped", silently=True),
    "truncated": damaged("truncated", silently=False),
    "truncated, time kept": damaged("truncated", silently=True),
}
CHECKPOINT = {
    "checkpoint flipped": checkpoint("flipped"),
    "checkpoint cut": checkpoint("truncated"),
}
CACHE = {"DVC's cache damaged": dirty_cache}
