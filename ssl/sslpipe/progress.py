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


def progress(items: Iterable[T], *, what: str, unit: str, total: int | None = None) -> Iterator[T]:
    """Yield `items`; show how many of `total` are done, in `unit`s."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, unit=f" {unit}", total=total, leave=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            of = f"/{total}" if total is not None else ""
            say(f"{what}: {done}{of} {unit} ({done / (now - start):.0f}/s)")


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
