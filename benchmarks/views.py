"""Views per second of the three backends, in turns in one process, as a table and a CSV.

    python benchmarks/views.py --threads 1 --csv benchmarks/results/views-cpu.csv

Each case is the whole way from packed uint8 images to normalised views: drawing the parameters,
rendering, normalising. `ratio` is against torchvision's functions applied image by image, measured in
the same rounds.
"""

import argparse
import csv
import platform
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import torch
from tabulate import tabulate

from sslpipe.schema import Views
from sslpipe.training.batches import build_views
from sslpipe.views import RENDERERS, normalize

BASELINE = "torchvision"
COLUMNS = ["benchmark", "case", "subject", "value", "unit", "baseline", "ratio", "device",
           "versions", "date"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [row for side in (32, 64, 96) for row in measure(side, options)]
    print(tabulate([[row[c] for c in COLUMNS[1:7]] for row in rows], COLUMNS[1:7], "pipe"))
    if options.csv:
        options.csv.parent.mkdir(parents=True, exist_ok=True)
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def measure(side: int, options: argparse.Namespace) -> list[dict[str, object]]:
    """A row per backend; the backends take turns, so that a slow moment hits all of them."""
    draw = torch.Generator().manual_seed(0)
    shape = (options.batch, side, side, 3)
    images = torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)
    indices = torch.arange(options.batch)
    makers = {name: build_views(Views(backend=name), side) for name in RENDERERS}
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    for turn in range(options.rounds + 1):
        for name, views in makers.items():
            start = time.perf_counter()
            global_views, _ = views(images, seed=0, epoch=turn, indices=indices)
            for view in global_views:
                normalize(view)
            if turn:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(taken) for name, taken in seconds.items()}
    return [
        {
            "benchmark": "views",
            "case": f"{side} px",
            "subject": name,
            "value": round(2 * options.batch / median[name]),
            "unit": "views/s",
            "baseline": BASELINE,
            "ratio": round(median[BASELINE] / median[name], 2),
            "device": f"{platform.machine()} CPU, {options.threads} thread(s)",
            "versions": f"torch {torch.__version__}",
            "date": datetime.now(UTC).date().isoformat(),
        }
        for name in sorted(median, key=median.get)
    ]


if __name__ == "__main__":
    main()
