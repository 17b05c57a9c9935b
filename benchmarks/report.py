"""The report of 60 runs on 3 data sets, from made-up results: seconds of each stage and of all."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from .table import Row

PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "seaborn", "vl-convert-python")
ROOT = Path(__file__).resolve().parent.parent
SETS = ("cub", "mini_imagenet", "sun")
IMAGES, CLASSES, EPOCHS = 12_000, 200, 100
METHODS, SEEDS = ("simclr", "moco", "byol"), (0, 1, 2)
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


def run(device: torch.device, threads: int) -> Iterator[list[Row]]:
    sys.path[:0] = [str(ROOT / "tests/reporting"), str(ROOT / "tests")]
    from synthetic import content, write_reports

    runs = {
        f"{method}_{rate:g}_seed{seed}".replace(".", "").replace("-", "m"): {
            "method": method, "lr": rate, "seed": seed,
        }
        for method in METHODS for rate in RATES for seed in SEEDS
    }  # fmt: skip
    runs |= {f"moco_crops_{n}": {"method": "moco", "views": {"local": n}} for n in range(1, 5)}
    runs |= {"untrained": {"method": "random"}}
    runs |= {"raw_pixels": {"method": "random", "backbone": "pixels"}}
    studies = {
        f"study_{number}": {"runs": names, "x": "lr"}
        for number, names in enumerate(list(runs)[start : start + 18] for start in (0, 18, 36))
    }
    params = content(runs, SETS, studies=studies)
    params["pretrain"]["epochs"] = EPOCHS
    with tempfile.TemporaryDirectory() as folder:
        write_reports(Path(folder), params, images=IMAGES, classes=CLASSES)
        yield measured(Path(folder), list(studies), len(runs), threads)


def measured(folder: Path, studies: list[str], runs: int, threads: int) -> list[Row]:
    case = f"{runs} runs × {len(SETS)} sets, {len(studies)} studies, {threads} stages at a time"
    names = ["figures", "leaderboard", "claims"]
    stages = [[name] for name in names] + [["study", name] for name in studies]
    started = time.perf_counter()
    with ThreadPoolExecutor(min(threads, 2)) as pool:
        seconds = list(pool.map(lambda stage: stage_seconds(folder, stage), stages))
    each = dict(zip(names, seconds, strict=False))
    each["page"] = stage_seconds(folder, ["page"])  # which reads what all others wrote
    whole = time.perf_counter() - started
    each["a study"] = sum(seconds[len(names) :]) / len(studies)
    return [
        Row(case, "sslpipe, all report stages", whole, "s"),
        *(Row(case, f"sslpipe {name}", value, "s") for name, value in each.items()),
    ]


def stage_seconds(folder: Path, stage: list[str]) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "ssl")}
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "sslpipe", *stage],
        cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - started
