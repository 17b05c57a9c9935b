"""A progress bar on a terminal, plain lines with a rate in a log."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import suppress
from typing import Any, Self, TypeVar

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


class Bar:
    """Work under way: a bar on a terminal, a line every ten seconds in a log."""

    def __init__(self, what: str, unit: str, total: int | None, done: int = 0) -> None:
        """done: so many of them were before."""
        self.what, self.unit, self.total, self.done = what, unit, total, done
        self.first, self.start = done, time.monotonic()
        self.said = self.start
        self.bar = tqdm(
            desc=what,
            total=total,
            initial=done,
            unit=f" {unit}",
            unit_scale=unit == "bytes",
            leave=False,
            disable=quiet() or not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def update(self, count: int = 1) -> None:
        self.bar.update(count)
        self.done += count
        now = time.monotonic()
        rate = self.rate(now)
        _tell(what=self.what, done=self.done, total=self.total, unit=self.unit, rate=rate)
        if self.bar.disable and rate is not None and now - self.said >= LINE_SECONDS:
            self.said = now
            self.say(rate)

    def rate(self, now: float) -> float | None:
        """In units a second, since the start."""
        return (self.done - self.first) / max(now - self.start, 1e-9)

    def say(self, rate: float) -> None:
        of = f"/{self.total}" if self.total is not None else ""
        say(f"{self.what}: {self.done}{of} {self.unit} ({rate:.0f}/s)")


def progress(
    items: Iterable[T], *, what: str, unit: str, total: int | None = None, done: int = 0
) -> Iterator[T]:
    """Yield `items`; show how many of `total` are done, in `unit`s; `done` were so before."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Bar(what, unit, total, done) as bar:
        for item in items:
            yield item
            bar.update()


class ByteBar(Bar):
    """Bytes of a file."""

    def __init__(self, name: str, total: int | None, done: int = 0) -> None:
        super().__init__(name, "bytes", total, done)

    def say(self, rate: float) -> None:
        of = f" of {self.total / 1e6:.0f}" if self.total is not None else ""
        say(f"{self.what}: {self.done / 1e6:.0f}{of} MB ({rate / 1e6:.1f} MB/s)")


class StepBar(Bar):
    """Training steps, told in images, as their rate is what trainings are compared by; in a log and on
    a terminal a line for each epoch."""

    def __init__(self, name: str, steps: int, done: int, images_per_step: int) -> None:
        self.images = images_per_step
        self.last: float | None = None
        self.seconds = 0.0  # of a step, averaged over the last dozens
        super().__init__(name, "images", steps * self.images, done * self.images)

    def step(self) -> None:
        self.update(self.images)

    def rate(self, now: float) -> float | None:
        if self.last is not None:
            took = now - self.last
            self.seconds = took if not self.seconds else 0.95 * self.seconds + 0.05 * took
        self.last = now
        return self.images / self.seconds if self.seconds else None

    def say(self, rate: float) -> None:
        """Nothing between epochs."""

    def epoch(self, row: dict[str, Any], epochs: int) -> None:
        """`row`: a row of the history."""
        scores = "".join(
            f", {key.replace('_', ' ', 1)} {value:.1%}"
            for key, value in row.items()
            if key.startswith(("knn_", "probe_")) and value is not None
        )
        speed = row["images_per_s"]
        say(
            f"{self.what}: epoch {row['epoch']}/{epochs}, loss {row['loss']:.3f}"
            + (f", {speed:.0f} images/s" if speed is not None else "")
            + scores
        )
