"""A progress bar on a terminal, plain lines with a rate in a log."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
LINE_SECONDS = 10.0


def quiet() -> bool:
    """Of several processes that share a training only the first speaks (torchrun's RANK)."""
    return os.environ.get("RANK", "0") != "0"


def say(message: str) -> None:
    """One line on stderr that does not break a running bar."""
    if quiet():
        return
    tqdm.write(message, file=sys.stderr)
    sys.stderr.flush()


def progress(
    items: Iterable[T], *, what: str, unit: str, total: int | None = None, done: int = 0
) -> Iterator[T]:
    """Yield `items`; show how many of `total` are done, in `unit`s; `done` were so before."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, unit=f" {unit}", total=total, initial=done, leave=False)
        return
    start = last = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            of = f"/{total}" if total is not None else ""
            say(f"{what}: {done + number}{of} {unit} ({number / (now - start):.0f}/s)")


class ByteBar:
    """Bytes of a file: a bar on a terminal, a line every ten seconds in a log."""

    def __init__(self, name: str, total: int | None, done: int = 0) -> None:
        self.name, self.total, self.done = name, total, done
        self.first, self.start = done, time.monotonic()
        self.last = self.start
        self.bar = tqdm(
            desc=name,
            total=total,
            initial=done,
            unit="B",
            unit_scale=True,
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> "ByteBar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def update(self, count: int) -> None:
        self.done += count
        self.bar.update(count)
        now = time.monotonic()
        if self.bar.disable and now - self.last >= LINE_SECONDS:
            self.last = now
            of = f" of {self.total / 1e6:.0f}" if self.total is not None else ""
            rate = (self.done - self.first) / 1e6 / (now - self.start)
            say(f"{self.name}: {self.done / 1e6:.0f}{of} MB ({rate:.1f} MB/s)")


class StepBar:
    """Training steps: a bar on a terminal, a line for each epoch everywhere."""

    def __init__(self, name: str, steps: int, done: int) -> None:
        self.name = name
        self.bar = tqdm(
            desc=name,
            total=steps,
            initial=done,
            unit=" steps",
            leave=False,
            disable=quiet() or not sys.stderr.isatty(),
        )

    def __enter__(self) -> "StepBar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def step(self) -> None:
        self.bar.update()

    def epoch(self, row: dict[str, Any], epochs: int) -> None:
        """`row`: a row of the history."""
        scores = "".join(
            f", {key.replace('_', ' ', 1)} {value:.1%}"
            for key, value in row.items()
            if key.startswith(("knn_", "probe_")) and value is not None
        )
        speed = row["images_per_s"]
        say(
            f"{self.name}: epoch {row['epoch']}/{epochs}, loss {row['loss']:.3f}"
            + (f", {speed:.0f} images/s" if speed is not None else "")
            + scores
        )
