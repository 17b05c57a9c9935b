"""Decode all images of a set once, on all cores, into one array file and its index.

Work in progress lies beside the files: pixels in `.NAME.npy.part`, the index's lines of finished
shards in `.NAME.csv.part`. A later call goes on after the last of these.
"""

import contextlib
import csv
import hashlib
import io
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from filelock import FileLock, Timeout

from sslpipe.cores import usable_cores
from sslpipe.data import splits
from sslpipe.data.choose import Choice
from sslpipe.data.decode import Batch, Decoded, How, decode_batch
from sslpipe.data.index import Entry, parse, write_index
from sslpipe.errors import UserError, few
from sslpipe.io.files import need_space
from sslpipe.io.progress import progress, say

BATCH_BYTES = 2**20
"""Pixels that a process returns at a time."""
LITTLE_BYTES = 24 * 2**20
"""So much encoded content is decoded sooner than further processes start."""
LIBRARIES = ("pillow", "torch", "torchvision", "imagehash", "scipy")
"""On whose versions pixels and hashes depend."""
SHARD_BYTES = 64 * 2**20
"""Pixels between two moments from which an interrupted packing goes on."""


class Packed(NamedTuple):
    """How many images were packed, and the index's entries of those that are unreadable."""

    images: int
    unreadable: list[Entry]


def pack(
    tar: Path,
    choices: Sequence[Choice],
    images: Path,
    index: Path,
    *,
    how: How,
    max_unreadable: float,
    what: str = "subset",
    processes: int | None = None,
) -> Packed:
    """Write `images` (.npy, uint8 (N, S, S, 3), S = how.size) and `index`.

    N counts the readable choices, in their order. The files depend neither on `processes` (by
    default all cores that this process may use) nor on interruptions, which lose at most a shard.
    Pixels of at most a few batches are in memory.

    Raises UserError, and leaves the old files, when more than the share `max_unreadable` is
    unreadable, no image is left for a split of a labelled set, or another process packs this set.
    """
    if processes is None:
        encoded = sum(choice.member.size for choice in choices)
        processes = len(usable_cores()) if encoded > LITTLE_BYTES else 1
    size = how.size
    images.parent.mkdir(parents=True, exist_ok=True)
    pixels, journal = (path.with_name(f".{path.name}.part") for path in (images, index))
    lock = images.with_name(f".{images.name}.lock.part")
    try:
        with FileLock(lock, blocking=False):
            done = _finished(journal, fingerprint(tar, choices, how), pixels, size)
            left = (len(choices) - done) * 3 * size * size
            need_space(images.parent, left, f"{what} of {len(choices)} images")
            if done:
                say(f"{what}: going on after {done} of {len(choices)} images")
            with contextlib.closing(decoded_images(tar, choices[done:], how, processes)) as decoded:
                shown = progress(decoded, what=what, unit="images", total=len(choices), done=done)
                _append(pixels, journal, choices[done:], shown, size)
            try:
                packed = check(journal, max_unreadable)
            except UserError:
                for path in (pixels, journal, lock):
                    path.unlink()
                raise
            images.unlink(missing_ok=True)  # if cut off here: no images, not another index's
            readable = (entry for entry in _entries(journal) if not entry.error)
            write_index(index, itertools.chain(readable, packed.unreadable))
            _set_count(pixels, packed.images, size)
            pixels.replace(images)
            journal.unlink()
            lock.unlink()
    except Timeout:
        raise UserError(f"{images}: another process is packing this set") from None
    return packed


def fingerprint(tar: Path, choices: Sequence[Choice], how: How) -> str:
    """What the pixels depend on: only work of the same may be gone on with."""
    stat = tar.stat()
    digest = hashlib.sha256()
    for module in ("decode.py", "fast_jpeg.py", "images.py", "ranges.py"):
        digest.update(Path(__file__).with_name(module).read_bytes())
    versions = [version(package) for package in LIBRARIES]
    digest.update(f"{versions} {how} {stat.st_size} {stat.st_mtime_ns}".encode())
    for choice in choices:
        digest.update(f"{choice.split} {choice.label} {choice.member}".encode())
    return digest.hexdigest()


def check(journal: Path, max_unreadable: float) -> Packed:
    """Count what is packed.

    Raises UserError for too many unreadable images, or a labelled set that cannot be scored.
    """
    unreadable = []
    in_splits: Counter[tuple[str, str]] = Counter()
    given = set()
    labelled, count = False, 0
    for entry in _entries(journal):
        if entry.error:
            unreadable.append(entry)
        else:
            count += 1
            labelled = labelled or entry.label >= 0
            if entry.split != splits.UNLABELLED:
                in_splits[entry.split, entry.class_name] += 1
                given.add(entry.source_name.split("/", 1)[0])
    if len(unreadable) > max_unreadable * (count + len(unreadable)):
        first = "; ".join(f"{entry.source_name} ({entry.error})" for entry in unreadable[:3])
        raise UserError(
            f"{len(unreadable)} of {count + len(unreadable)} images are unreadable, more than "
            f"max_unreadable ({max_unreadable:g}) allows: {first}"
        )
    if not count:
        raise UserError("no image is left to pack")
    lost = {entry.class_name for entry in unreadable} - {name for _, name in in_splits} - {""}
    if lost:
        say(f"warning: {len(lost)} classes have no image that can be read: {few(lost)}")
    if labelled:
        splits.check(in_splits, splits.carved(given))
    return Packed(count, unreadable)


def _append(
    pixels: Path, journal: Path, choices: Sequence[Choice], decoded: Iterable[Decoded], size: int
) -> None:
    """Append each image and its line, a shard at a time: pixels reach the disk before lines."""
    row = _count(pixels, size)
    with pixels.open("ab") as file, journal.open("a", encoding="utf-8", newline="") as lines:
        waiting = io.StringIO()
        writer = csv.writer(waiting, lineterminator="\n")
        shard = max(1, SHARD_BYTES // (3 * size * size))
        for number, (choice, image) in enumerate(zip(choices, decoded, strict=True), start=1):
            file.write(image.pixels)
            writer.writerow(
                (
                    -1 if image.error else row,
                    choice.split,
                    choice.label,
                    choice.class_name,
                    choice.member.name,
                    *image[1:],
                )
            )
            row += not image.error
            if number % shard == 0:
                _keep(file, lines, waiting)
        _keep(file, lines, waiting)


def _keep(file: io.BufferedWriter, lines: TextIO, waiting: io.StringIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    lines.write(waiting.getvalue())
    lines.flush()
    os.fsync(lines.fileno())
    waiting.seek(0)
    waiting.truncate()


def _finished(journal: Path, fingerprint: str, pixels: Path, size: int) -> int:
    """Make both files end after the last finished image; return how many are finished."""
    with contextlib.suppress(FileNotFoundError, ValueError), journal.open("rb+") as file:
        if file.readline() == f"{fingerprint}\n".encode():
            end, done, rows = file.tell(), 0, 0
            for line in file:
                if not line.endswith(b"\n"):
                    break
                end, done, rows = end + len(line), done + 1, rows + (line[:2] != b"-1")
            start = len(_header(0, size))
            if pixels.stat().st_size >= start + rows * 3 * size * size:
                file.truncate(end)
                os.truncate(pixels, start + rows * 3 * size * size)
                return done
    pixels.write_bytes(_header(0, size))
    journal.write_text(f"{fingerprint}\n", encoding="utf-8")
    return 0


def _count(pixels: Path, size: int) -> int:
    return (pixels.stat().st_size - len(_header(0, size))) // (3 * size * size)


def _entries(journal: Path) -> Iterator[Entry]:
    with journal.open(encoding="utf-8", newline="") as file:
        file.readline()
        yield from (parse(fields, line) for line, fields in enumerate(csv.reader(file), start=2))


def _set_count(pixels: Path, count: int, size: int) -> None:
    with pixels.open("rb+") as file:
        file.write(_header(count, size))
        file.flush()
        os.fsync(file.fileno())


def decoded_images(
    tar: Path, choices: Sequence[Choice], how: How, processes: int
) -> Generator[Decoded, None, None]:
    """The choices' images, in order. Processes read the tar themselves: only pixels travel."""
    batches = _batches(tar, choices, how)
    if processes == 1:
        for batch in batches:
            yield from decode_batch(batch)
        return
    # Forking this process could hang, if it has threads (numpy's, torch's). A server that has none,
    # and imports what is needed once for all, forks quickly; macOS's own libraries forbid even that.
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    if sys.platform == "linux":
        context.set_forkserver_preload(["sslpipe.data.fast_jpeg", "sslpipe.data.decode"])
    pool = ProcessPoolExecutor(processes, context, _one_of_many)
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
    except BaseException:
        # Interrupted in mid-work, the pool may wait for ever for a process that waits for it.
        for child in multiprocessing.active_children():
            child.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _one_of_many() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first alone answers it
    threading.Thread(
        target=_end_with, args=(multiprocessing.parent_process(),), daemon=True
    ).start()
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # the processes share the cores already


def _end_with(parent: BaseProcess) -> None:
    """A process that waits for work would wait for ever if the one that packs was killed."""
    parent.join()
    os._exit(1)


def _batches(tar: Path, choices: Sequence[Choice], how: How) -> Iterator[Batch]:
    count = max(1, min(64, BATCH_BYTES // (3 * how.size**2)))
    for start in range(0, len(choices), count):
        batch = choices[start : start + count]
        yield str(tar), [(c.member.offset, c.member.size) for c in batch], how


def _header(count: int, size: int) -> bytes:
    """The .npy header; numpy pads it, so that its length does not depend on the count."""
    file = io.BytesIO()
    shape = (count, size, size, 3)
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return file.getvalue()
