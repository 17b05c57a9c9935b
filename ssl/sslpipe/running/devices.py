"""GPU lease: one lock per device, so that jobs of any engine never share one by accident.

Snakemake's `--resources gpu=2` only counts jobs; each would still see every device. The lease is
machine-wide, for all its users, and is taken before CUDA is initialised, then narrows
CUDA_VISIBLE_DEVICES. Where there is no GPU, cores are leased instead: as many as a job has threads.
The locks are `flock`s, which the kernel frees when their holder dies, however it dies.
"""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import IO

from sslpipe.cores import usable_cores
from sslpipe.errors import UserError
from sslpipe.io.progress import say

POLL_SECONDS = 0.2
# Not below TMPDIR: jobs that have different ones share the machine's GPUs all the same.
FOLDER = Path("/tmp/sslpipe-gpus")
# Of jobs to which a scheduler has handed out devices: what names the job.
SCHEDULERS = {"SLURM_JOB_ID": "SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST": "HOSTNAME"}


def visible_devices() -> list[str]:
    """Ids of the devices this process may use; empty without a GPU.

    UUIDs where nvidia-smi is there, so that a device has one id however CUDA_VISIBLE_DEVICES names
    it (index as nvidia-smi counts, UUID, or the beginning of one). SSLPIPE_DEVICES (ids separated
    by commas) stands for the machine's devices where it is set.
    """
    override = os.environ.get("SSLPIPE_DEVICES")
    if override is not None:
        return _entries(override)
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None and not _entries(chosen):
        return []
    uuids = _uuids()
    if chosen is None:
        return list(uuids.values())
    # A device named twice must not be waited for twice: its holder would wait for itself.
    return list(dict.fromkeys(_identity(entry, uuids) for entry in _entries(chosen)))


def _entries(listed: str) -> list[str]:
    """As CUDA reads them: -1 hides the devices after it."""
    entries = [entry.strip() for entry in listed.split(",")]
    return [entry for entry in takewhile(lambda entry: entry != "-1", entries) if entry]


def _uuids() -> dict[str, str]:
    """index → UUID of the machine's GPUs; empty where nvidia-smi is missing or fails."""
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, encoding="utf-8", check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    pairs = (line.partition(",") for line in answer.stdout.splitlines())
    return {index.strip(): uuid.strip() for index, _, uuid in pairs if uuid.strip()}


def _identity(entry: str, uuids: dict[str, str]) -> str:
    """The UUID that an entry of CUDA_VISIBLE_DEVICES means; else (a MIG slice) the entry."""
    if entry in uuids:
        return uuids[entry]
    meant = [uuid for uuid in uuids.values() if uuid.startswith(entry)]
    return meant[0] if len(meant) == 1 else entry


def hide_devices() -> None:
    """Let this process and those that it starts use the CPU."""
    os.environ["SSLPIPE_DEVICES"] = ""


@contextmanager
def lease(count: int = 1, *, threads: int | None = None) -> Iterator[list[str]]:
    """Hold `count` devices, waiting for them, and set CUDA_VISIBLE_DEVICES to them.

    Yields their ids: an empty list where there is no device, so that the work runs on the CPU. Then
    `threads` cores are held (by default, or where there are fewer, all): one job at a time, or side
    by side as many as have room.
    Under Slurm or Kubernetes these are the devices and cores that the scheduler has given to its job,
    shared out among those that run in it.
    Raises UserError when fewer than `count` devices exist.
    """
    devices = visible_devices()
    if devices and count > len(devices):
        raise UserError(f"{count} GPUs asked for, {len(devices)} visible")
    if not devices:
        cores = [f"core-{number}" for number in usable_cores()]
        locks = _acquire(min(threads or len(cores), len(cores)), cores, "cores")
        try:
            with _kept():
                yield []
        finally:
            _release(locks)
        return
    locks = _acquire(count, devices, "GPUs")
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(locks)
    try:
        with _kept():
            yield list(locks)
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
        _release(locks)


def held_devices() -> list[str]:
    """Those of the visible devices, or cores, that a lease holds now."""
    names = visible_devices() or [f"core-{number}" for number in usable_cores()]
    return [name for name in names if _is_held(name)]


def _is_held(name: str) -> bool:
    with suppress(FileNotFoundError), _path_of(name).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _acquire(count: int, names: list[str], what: str) -> dict[str, IO[bytes]]:
    waiting = False
    while True:
        # All or nothing under one gate: two jobs of several devices cannot hold half each.
        with _lock_file("gate") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            held: dict[str, IO[bytes]] = {}
            for name in names:
                lock = _lock_file(name)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    lock.close()
                    continue
                if os.fstat(lock.fileno()).st_nlink == 0:  # removed since it was opened
                    lock.close()
                    continue
                held[name] = lock
                if len(held) == count:
                    return held
            _release(held)
        if not waiting:
            say(f"waiting for {count} of {len(names)} {what}: other jobs hold them")
            waiting = True
        time.sleep(POLL_SECONDS)


@contextmanager
def _kept() -> Iterator[None]:
    """Whoever cleans /tmp by age (systemd-tmpfiles) leaves a locked folder, and what is in it, alone."""
    folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_SH)
        yield
    finally:
        os.close(folder)


def _release(locks: dict[str, IO[bytes]]) -> None:
    for lock in locks.values():
        lock.close()


def _path_of(name: str) -> Path:
    """Locks of a scheduler's job are its own: what other jobs were given is another device, though it
    may have the same name in there."""
    jobs = [os.environ.get(job, "") for set_, job in SCHEDULERS.items() if set_ in os.environ]
    return FOLDER / "-".join([*jobs[:1], name]).replace("/", "_")


def _lock_file(name: str) -> IO[bytes]:
    """Open a file of FOLDER, whoever's it is; made where it is missing.

    Read-only, which is enough for flock: fs.protected_regular forbids to open another user's file
    in a sticky folder with O_CREAT, even if its mode allows writing.
    """
    path = _path_of(name)
    # With the umask, a file would for a moment (or for good) be closed to other users.
    umask = os.umask(0)
    try:
        with suppress(FileExistsError):
            FOLDER.mkdir(mode=0o1777)
        while True:
            with suppress(FileNotFoundError):
                return path.open("rb")
            with suppress(FileExistsError):  # another job was faster
                os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except OSError as error:
        raise UserError(
            f"{path}: cannot lock a GPU there ({error.strerror}); {FOLDER} must be a folder of mode "
            "1777 and its files of mode 644"
        ) from None
    finally:
        os.umask(umask)
