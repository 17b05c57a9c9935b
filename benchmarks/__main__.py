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

from .table import Row, device_label, four_digits, read, slug, stamp, summary, write

# By name; each is a module with a function `run(device, threads)` that yields the rows of a case at a
# time, and a tuple PACKAGES of the distributions whose versions matter to it.
BENCHMARKS = (
    "training",
    "views",
    "probe",
    "knn",
    "packing",
    "data",
    "kernels",
    "report",
    "engines",
)
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=BENCHMARKS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="start no case after so many"
    )
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    label = device_label(device, options.threads)
    path = RESULTS / f"{slug(label)}.csv"

    rows = read(path)
    started = time.monotonic()
    minutes = lambda: (time.monotonic() - started) / 60  # noqa: E731
    for name in [name for name in BENCHMARKS if name in options.only]:
        if minutes() > options.minutes:
            say(f"{name}: left out after {options.minutes:g} minutes")
            continue
        say(f"{name}: started")
        since = minutes()
        module = importlib.import_module(f".{name}", __package__)
        others = [row for row in rows if row["benchmark"] != name]
        before = [row for row in rows if row["benchmark"] == name]
        now: list[dict[str, str]] = []
        for case in module.run(device, options.threads):
            for row in case:
                announce(name, row)
            now += stamp(name, case, label, module.PACKAGES)
            replaced = {row["case"] for row in now}
            before = [row for row in before if row["case"] not in replaced]
            # After each case, so that a later one that fails loses nothing.
            rows = in_order(others + before + now)
            write(path, rows)
            if minutes() > options.minutes:
                say(f"{name}: stopped after {options.minutes:g} minutes")
                break
        else:  # what is no case any more
            rows = in_order(others + now)
            write(path, rows)
        say(f"{name}: {60 * (minutes() - since):.0f} s")
    say(f"all: {60 * minutes():.0f} s, written to {path} and .md")
    print(summary([row for row in rows if row["benchmark"] in options.only]))


def in_order(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(rows, key=lambda row: BENCHMARKS.index(row["benchmark"]))


def announce(benchmark: str, row: Row) -> None:
    ratio = "" if row.ratio is None else f", {row.ratio:.2f} × {row.baseline}"
    say(f"{benchmark}: {row.case}: {row.subject} {four_digits(row.value)} {row.unit}{ratio}")


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
