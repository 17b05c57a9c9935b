"""A progress bar on a terminal, plain lines with a rate in a log."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
# Called with what, done, total, unit and rate of the work under way, or with `said`.
listeners: list[Callable[..., None]] = []
LINE_SECONDS = 10.0


def quiet() -> bool:
    """Of several processes that share a training only the first speaks (torchrun's RANK)."""
    return os.environ.get("RANK", "0") != "0"


def say(message: str) -> None:
    """One line on stderr that does not break a running bar."""
    if quiet():
        return
    _tell(said=message)
    # Whoever read the lines may have been stopped first (`| tee` by the same Ctrl-C): the work must
    # not die of it before its state is saved.
    with suppress(BrokenPipeError):
        tqdm.write(message, file=sys.stderr)
        sys.stderr.flush()


def _tell(**news: Any) -> None:
    for listener in listeners:
        listener(**news)


def progress(
    items: Iterable[T], *, what: str, unit: str, total: int | None = None, done: int = 0
) -> Iterator[T]:
    """Yield `items`; show how many of `total` are done, in `unit`s; `done` were so before."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    on_terminal = sys.stderr.isatty()
    if on_terminal:
        items = tqdm(items, desc=what, unit=f" {unit}", total=total, initial=done, leave=False)
    start = last = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        rate = number / max(now - start, 1e-9)
        _tell(what=what, done=done + number, total=total, unit=unit, rate=rate)
        if not on_terminal and now - last >= LINE_SECONDS:
            last = now
            of = f"/{total}" if total is not None else ""
            say(f"{what}: {done + number}{of} {unit} ({rate:.0f}/s)")


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
        _tell(
            what=self.name, done=self.done, total=self.total, unit="bytes",
            rate=(self.done - self.first) / max(now - self.start, 1e-9),
        )  # fmt: skip
        if self.bar.disable and now - self.last >= LINE_SECONDS:
            self.last = now
            of = f" of {self.total / 1e6:.0f}" if self.total is not None else ""
            rate = (self.done - self.first) / 1e6 / (now - self.start)
            say(f"{self.name}: {self.done / 1e6:.0f}{of} MB ({rate:.1f} MB/s)")


class StepBar:
    """Training steps: a bar on a terminal, a line for each epoch everywhere."""

    def __init__(self, name: str, steps: int, done: int, images_per_step: int) -> None:
        self.name, self.steps, self.done, self.images = name, steps, done, images_per_step
        self.last: float | None = None
        self.seconds = 0.0  # of a step, averaged over the last dozens
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
        self.done += 1
        now = time.monotonic()
        if self.last is not None:
            took = now - self.last
            self.seconds = took if not self.seconds else 0.95 * self.seconds + 0.05 * took
        self.last = now
        # In images, as their rate is what trainings are compared by.
        _tell(
            what=self.name, done=self.done * self.images, total=self.steps * self.images,
            unit="images", rate=self.images / self.seconds if self.seconds else None,
        )  # fmt: skip

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
