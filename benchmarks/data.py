"""A folder of JPEG files through `sslpipe download` and `sslpipe subset`: speed and peak memory."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch
import yaml

from .packing import by_pil
from .pictures import jpeg, pictures
from .table import Row

PACKAGES = ("torch", "torchvision", "pillow", "imagehash")
COUNTS = (5_000, 20_000)
SOURCE_SIDE, SIDE, DIFFERENT, CLASSES = 256, 96, 250, 10
PIL = "PIL loop, 1 process"
ROOT = Path(__file__).resolve().parent.parent


def run(device: torch.device, threads: int) -> Iterator[list[Row]]:
    files = [jpeg(image, 90) for image in pictures(DIFFERENT, SOURCE_SIDE)]
    with tempfile.TemporaryDirectory() as folder:
        for count in COUNTS:
            yield through_stages(Path(folder) / str(count), files, count, threads)


def through_stages(project: Path, files: list[bytes], count: int, threads: int) -> list[Row]:
    project.mkdir()
    settings = yaml.safe_load((ROOT / "presets/default.yaml").read_text(encoding="utf-8"))
    settings["image_size"] = SIDE
    settings["datasets"]["mine"] = {"source": {"kind": "folder", "path": "mine"}}
    (project / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    put(project / "mine", files, count)
    case = f"{count} JPEG of {SOURCE_SIDE} px to {SIDE} px, {threads} processes"
    rates, memory = {}, {}
    for stage in ("download", "subset"):
        command = [sys.executable, "-m", "sslpipe", stage, "mine"]
        seconds, memory[stage] = watched(command, project, threads)
        rates[stage] = count / seconds
    sample = [path.read_bytes() for path in sorted((project / "mine/0").iterdir())]
    started = time.perf_counter()
    for content in sample:
        by_pil(content)
    rates[PIL] = len(sample) / (time.perf_counter() - started)
    # A process's share of what all do together, beside what one process does alone.
    each = rates["subset"] / threads
    return [
        Row(case, "sslpipe download", rates["download"], "images/s"),
        Row(case, "sslpipe subset, all processes", rates["subset"], "images/s"),
        Row(case, "sslpipe subset, per process", each, "images/s", PIL, each / rates[PIL]),
        Row(case, PIL, rates[PIL], "images/s", PIL, 1.0),
        Row(case, "sslpipe download, peak memory", memory["download"] / 1e6, "MB"),
        Row(case, "sslpipe subset, peak memory of all processes", memory["subset"] / 1e6, "MB"),
    ]


def put(folder: Path, files: list[bytes], count: int) -> None:
    """Files that differ in a comment, so that no two are the same file."""
    for number in range(count):
        path = folder / str(number % CLASSES) / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        comment = b"\xff\xfe\x00\x0a" + f"{number:08}".encode()
        content = files[number % len(files)]
        path.write_bytes(content[:2] + comment + content[2:])


def watched(command: list[str], folder: Path, cores: int) -> tuple[float, int]:
    """Seconds, start included, and the most bytes that the process and its children held at once.

    Pages that several share count once (proportional set size).
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "ssl")}
    started = time.perf_counter()
    # No more cores than asked for: `subset` starts a process for each one it may use.
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.2):
            peak = max(peak, held(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    if code:
        raise RuntimeError(f"{' '.join(command)} failed with {code}")
    return seconds, peak


def held(pid: int) -> int:
    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            total += process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass
    return total
