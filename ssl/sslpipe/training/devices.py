"""GPU lease: one lock per device, so that jobs of any engine never share one by accident.

Snakemake's `--resources gpu=2` only counts jobs; each would still see every device. The lease is
machine-wide and is taken before torch is imported, then narrows CUDA_VISIBLE_DEVICES. The locks
are `flock`s, which the kernel frees when their holder dies, however it dies.
"""

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sslpipe.errors import UserError
from sslpipe.progress import say

POLL_SECONDS = 0.2
# A scheduler that hands out devices itself sets one of these.
SCHEDULERS = ("SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST")


def visible_devices() -> list[str]:
    """Ids of the devices this process may use; empty without a GPU.

    SSLPIPE_DEVICES (ids separated by commas) stands for the machine's devices where it is set.
    """
    listed = os.environ.get("SSLPIPE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES"))
    if listed is not None:
        return [d.strip() for d in listed.split(",") if d.strip() not in ("", "-1")]
    try:
        query = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
        answer = subprocess.run(query, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return []
    return answer.stdout.split()


@contextmanager
def lease(count: int = 1) -> Iterator[list[str]]:
    """Hold `count` devices, waiting for them, and set CUDA_VISIBLE_DEVICES to them.

    Yields their ids: an empty list where there is no device, so that the work runs on the CPU.
    Under Slurm or Kubernetes the scheduler's own devices are used and nothing is locked.
    Raises UserError when fewer than `count` devices exist.
    """
    devices = visible_devices()
    if not devices or any(name in os.environ for name in SCHEDULERS):
        yield devices
        return
    if count > len(devices):
        raise UserError(f"{count} GPUs asked for, {len(devices)} visible: lower pretrain.gpus")
    locks = _acquire(count, devices)
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(locks)
    try:
        yield list(locks)
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
        for lock in locks.values():
            lock.close()


def _acquire(count: int, devices: list[str]) -> dict[str, IO[str]]:
    folder = Path(tempfile.gettempdir()) / f"sslpipe-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    waiting = False
    while True:
        # All or nothing under one gate: two jobs of several devices cannot hold half each.
        with (folder / "gate").open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            held: dict[str, IO[str]] = {}
            for device in devices:
                lock = (folder / device.replace("/", "_")).open("w")
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    lock.close()
                    continue
                held[device] = lock
                if len(held) == count:
                    return held
            for lock in held.values():
                lock.close()
        if not waiting:
            say(f"waiting for {count} of {len(devices)} GPUs")
            waiting = True
        time.sleep(POLL_SECONDS)
