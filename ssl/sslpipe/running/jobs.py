"""What runs now: each stage holds a lock while it works, and tells beside it how far it is.

`.state/running/STAGE.NAMES.lock` is a `flock`, which the kernel frees however its holder dies;
`.json` beside it is what `sslpipe status` shows. A stage of the same name waits, so that of two
processes that make the same files (one of them left over by an engine that was killed, say) the one
that was started last writes last; a training, which may take days, is refused instead.

A training whose engine was killed stops by itself, its state saved (`left_alone`).
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import psutil

from sslpipe.errors import UserError
from sslpipe.io import progress
from sslpipe.layout import PARAMS, Layout

SECONDS_BETWEEN_UPDATES = 1.0
ENGINES = ("snakemake", "dvc")
PATIENCE = 60.0
"""Seconds for a training to stop whose engine was killed."""

_engine: tuple[str, int] | None = None


@dataclass(frozen=True)
class Job:
    """A stage at work. pid: of the process that holds the lock, on `host`. engine: what started it
    (name and pid), None for a person. started, updated: seconds since 1970. done, total: of `unit`s
    of the step under way; rate: of them per second. said: its last line."""

    stage: str
    names: tuple[str, ...]
    pid: int
    host: str
    engine: tuple[str, int] | None
    started: float
    updated: float
    what: str = ""
    done: int = 0
    total: int | None = None
    unit: str = ""
    rate: float | None = None
    said: str = ""

    @property
    def name(self) -> str:
        return " ".join((self.stage, *self.names))

    @property
    def here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def orphaned(self) -> bool:
        """Whether the engine that started it is gone."""
        return self.here and self.engine is not None and not _lives(self.engine[1])


@contextmanager
def running(layout: Layout, stage: str, names: tuple[str, ...]) -> Iterator[None]:
    """Hold the stage's lock and tell of its progress.

    Raises UserError where another process trains the same run.
    """
    global _engine
    beacon = layout.running(stage, names)
    if "RANK" in os.environ:  # the process that started the ranks holds the lock
        held = is_held(beacon.with_suffix(".lock"))  # not by torchrun, which a user may start
        if os.environ["RANK"] == "0" and held and (job := read(beacon)):
            _engine = job.engine
            _tell_of(beacon, job)
        yield
        return
    _engine = _started_by()
    beacon.parent.mkdir(parents=True, exist_ok=True)
    with beacon.with_suffix(".lock").open("a", encoding="utf-8") as lock:
        _take(lock, beacon, stage, names)
        now = time.time()
        job = Job(stage, names, os.getpid(), socket.gethostname(), _engine, now, now)
        _write(beacon, job)
        _tell_of(beacon, job)
        try:
            yield
        finally:
            progress.listeners.clear()
            beacon.unlink(missing_ok=True)


def running_jobs(folders: list[Path]) -> list[Job]:
    """The stages at work, those that were started first before others."""
    found = []
    for folder in folders:
        for beacon in folder.glob("*.json"):
            if is_held(beacon.with_suffix(".lock")) and (job := read(beacon)):
                found.append(job)
    return sorted(found, key=lambda job: job.started)


def by_hand() -> bool:
    """Whether no engine has started the stage at work."""
    return _engine is None


def left_alone() -> bool:
    """Whether nobody waits for this process any more: the engine that started it is gone, or the
    folder that it works in (a copy of DVC's queue) was removed."""
    if _engine is not None and not _lives(_engine[1]):
        return True
    try:
        return Path().stat().st_nlink == 0 and not PARAMS.exists()
    except OSError:  # a network disk that does not answer just now
        return False


def _lives(pid: int) -> bool:
    """A process whose parent has not taken notice of its end yet does not."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def is_held(lock: Path) -> bool:
    with suppress(FileNotFoundError), lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read(beacon: Path) -> Job | None:
    """None for one that has just gone."""
    with suppress(OSError, ValueError, TypeError):
        content = json.loads(beacon.read_text(encoding="utf-8"))
        engine = content.pop("engine")
        names = tuple(content.pop("names"))
        return Job(**content, names=names, engine=tuple(engine) if engine else None)
    return None


def _take(lock: IO[str], beacon: Path, stage: str, names: tuple[str, ...]) -> None:
    if _try(lock, seconds=1.0):  # someone who looks at the lock (`is_held`) has it for a moment
        return
    other = read(beacon)
    if other and other.here and not _lives(other.pid):
        other = None  # of a process that was killed; who holds the lock now has not said so yet
    who = f"process {other.pid} on {other.host}" if other else "another process"
    name = " ".join((stage, *names))
    if stage == "pretrain":
        if other and other.orphaned:
            progress.say(f"{name}: waiting for {who}, whose engine is gone, to save its state")
            if _try(lock, PATIENCE):
                return
        raise UserError(
            f"{name}: {who} is training this run; wait for it (sslpipe status) or stop it"
            + (f": kill {other.pid}" if other else "")
        )
    progress.say(f"{name}: waiting for {who}, which is at it")
    fcntl.flock(lock, fcntl.LOCK_EX)


def _try(lock: IO[str], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        except OSError as error:  # some network disks have no locks
            progress.say(
                f"warning: {lock.name}: no locks there ({error.strerror}); run nothing twice"
            )
            return True


def _tell_of(beacon: Path, job: Job) -> None:
    """Write what `progress` reports into the beacon, at most once a second."""
    written = 0.0

    def listen(**news: Any) -> None:
        nonlocal job, written
        job = replace(job, updated=time.time(), **news)
        if time.monotonic() - written >= SECONDS_BETWEEN_UPDATES or "said" in news:
            written = time.monotonic()
            with suppress(OSError):  # a full disk must not stop the work
                _write(beacon, job)

    progress.listeners.append(listen)


def _write(beacon: Path, job: Job) -> None:
    whole = beacon.with_suffix(f".{os.getpid()}.part")
    whole.write_text(json.dumps(asdict(job)), encoding="utf-8")
    whole.replace(beacon)


def _started_by() -> tuple[str, int] | None:
    """The nearest engine among the processes that this one comes from."""
    with suppress(psutil.Error):
        for process in psutil.Process().parents():
            with suppress(psutil.Error):
                words = {Path(word).name for word in process.cmdline()[:3]}
                if engine := words.intersection(ENGINES):
                    return engine.pop(), process.pid
    return None
