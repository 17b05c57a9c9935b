"""Decode all images of a set once, on all cores, into one array file and its index."""

import io
import itertools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sslpipe.data import splits
from sslpipe.data.choose import Choice
from sslpipe.data.decode import Batch, Decoded, decode_batch
from sslpipe.data.index import Entry, write_index
from sslpipe.errors import UserError
from sslpipe.files import atomic
from sslpipe.progress import progress

BATCH_BYTES = 2**20
"""Pixels that a process returns at a time."""
LITTLE_BYTES = 24 * 2**20
"""So much encoded content is decoded sooner than further processes start."""


def pack(
    tar: Path,
    choices: Sequence[Choice],
    images: Path,
    index: Path,
    *,
    size: int,
    resize: str,
    max_unreadable: float,
    what: str = "subset",
    processes: int | None = None,
) -> list[Entry]:
    """Write `images` (.npy, uint8 (N, size, size, 3)) and `index`; return the index's entries.

    N counts the readable choices, in their order. The files do not depend on `processes` (by
    default all cores that this process may use), and at most a few batches are in memory.

    Raises UserError, and leaves the old files, when more than the share `max_unreadable` is
    unreadable or when no image is left for a split of a labelled set.
    """
    if processes is None:
        encoded = sum(choice.member.size for choice in choices)
        processes = cores() if encoded > LITTLE_BYTES else 1
    # `images` appears last, when this block ends
    with atomic(images) as file:
        decoded = decoded_images(tar, choices, size, resize, processes)
        shown = progress(decoded, what=what, unit="images", total=len(choices))
        entries = write_images(file, choices, shown, size)
        check(entries, max_unreadable)
        images.unlink(missing_ok=True)  # if cut off here: no images, rather than another index's
        write_index(index, entries)
    return entries


def cores() -> int:
    """The cores that this process may use; macOS only tells how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def write_images(
    file: BinaryIO, choices: Sequence[Choice], decoded: Iterable[Decoded], size: int
) -> list[Entry]:
    """Append each image to the .npy file, then tell its header how many there are.

    Entries: the readable ones by row, then the unreadable ones.
    """
    file.write(_header(len(choices), size))
    readable, unreadable = [], []
    for choice, image in zip(choices, decoded, strict=True):
        row = -1 if image.error else len(readable)
        entry = Entry(
            row,
            choice.split,
            choice.label,
            choice.class_name,
            choice.member.name,
            image.sha256,
            *image[2:],
        )
        (unreadable if image.error else readable).append(entry)
        file.write(image.pixels)
    file.seek(0)
    file.write(_header(len(readable), size))
    return readable + unreadable


def check(entries: Sequence[Entry], max_unreadable: float) -> None:
    """Raises UserError for too many unreadable images, or a labelled set with an empty split."""
    unreadable = [entry for entry in entries if entry.error]
    if len(unreadable) > max_unreadable * len(entries):
        first = "; ".join(f"{entry.source_name} ({entry.error})" for entry in unreadable[:3])
        raise UserError(
            f"{len(unreadable)} of {len(entries)} images are unreadable, more than "
            f"max_unreadable ({max_unreadable:g}) allows: {first}"
        )
    readable = [entry for entry in entries if not entry.error]
    if not readable:
        raise UserError("no image is left to pack")
    if readable[0].label >= 0:
        splits.check((entry.split, entry.class_name) for entry in readable)


def decoded_images(
    tar: Path, choices: Sequence[Choice], size: int, resize: str, processes: int
) -> Iterator[Decoded]:
    """The choices' images, in order. Processes read the tar themselves: only pixels travel."""
    batches = _batches(tar, choices, size, resize)
    if processes == 1:
        for batch in batches:
            yield from decode_batch(batch)
        return
    # spawn, as forking a process that has threads (numpy's, torch's) can hang
    context = multiprocessing.get_context("spawn")
    # Ctrl-C reaches all processes; this one alone answers it
    ignore_interrupt = signal.SIGINT, signal.SIG_IGN
    pool = ProcessPoolExecutor(processes, context, signal.signal, ignore_interrupt)
    try:
        waiting = deque(
            pool.submit(decode_batch, batch) for batch in itertools.islice(batches, 2 * processes)
        )
        while waiting:
            yield from waiting.popleft().result()
            waiting.extend(pool.submit(decode_batch, b) for b in itertools.islice(batches, 1))
    except BrokenProcessPool:
        raise UserError(
            "a process that decodes images ended unexpectedly: out of memory?"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(tar: Path, choices: Sequence[Choice], size: int, resize: str) -> Iterator[Batch]:
    count = max(1, min(64, BATCH_BYTES // (3 * size * size)))
    for start in range(0, len(choices), count):
        batch = choices[start : start + count]
        yield str(tar), [(c.member.offset, c.member.size) for c in batch], size, resize


def _header(count: int, size: int) -> bytes:
    """The .npy header; numpy pads it, so that its length does not depend on the count."""
    file = io.BytesIO()
    shape = (count, size, size, 3)
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return file.getvalue()
