"""Every benchmark on one device, its subjects in turns, as a table, a CSV and a Markdown file.

    python -m benchmarks [--only NAME...] [--device cpu|cuda] [--threads N] [--minutes M]

The results go to benchmarks/results/<device>.csv and .md. With --only, the rows of the other
benchmarks stay as they were.
"""

import argparse
import importlib
import math
import sys
import time
from pathlib import Path

import torch

from .table import Row, device_label, four_digits, markdown, read, slug, stamp, write

# By name; each is a module with a function `run(device, threads)` that yields rows and a tuple
# PACKAGES of the distributions whose versions matter to it.
BENCHMARKS = ("training", "views", "probe", "knn", "packing", "kernels")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=BENCHMARKS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no case later")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    label = device_label(device, options.threads)
    path = RESULTS / f"{slug(label)}.csv"

    rows = read(path)
    started = time.monotonic()
    for name in BENCHMARKS:
        if name not in options.only:
            continue
        say(f"{name}: started")
        since = time.monotonic()
        module = importlib.import_module(f".{name}", __package__)
        rows = [row for row in rows if row["benchmark"] != name]
        for row in module.run(device, options.threads):
            announce(name, row)
            rows += stamp(name, [row], label, module.PACKAGES)
            # After each row, so that a later one that fails loses nothing.
            write(path, sorted(rows, key=lambda row: BENCHMARKS.index(row["benchmark"])))
            if time.monotonic() - started > 60 * options.minutes:
                say(f"{name}: stopped after {options.minutes:g} minutes, cases are left out")
                break
        say(f"{name}: {time.monotonic() - since:.0f} s")
    say(f"all: {time.monotonic() - started:.0f} s, written to {path} and .md")
    print(markdown([row for row in rows if row["benchmark"] in options.only]))


def announce(benchmark: str, row: Row) -> None:
    ratio = "" if row.ratio is None else f", {row.ratio:.2f} × {row.baseline}"
    say(f"{benchmark}: {row.case}: {row.subject} {four_digits(row.value)} {row.unit}{ratio}")


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
