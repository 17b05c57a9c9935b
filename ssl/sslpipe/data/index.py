"""The index of a packed set: a CSV with a line for each image, and what it says of the rows."""

import csv
import hashlib
import io
import itertools
import re
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslpipe.cores import usable_cores
from sslpipe.data.splits import PACKED, UNLABELLED
from sslpipe.errors import UserError
from sslpipe.io.files import Hashed, atomic
from sslpipe.layout import Layout

SHA256 = re.compile(r"[0-9a-f]{64}")
PHASH = re.compile(r"([0-9a-f]{16})?")


class Entry(NamedTuple):
    """One line. sha256 is of the packed pixels, file_sha256 of the encoded image in the tar.

    width, height: of the encoded image, upright, in pixels. phash: its perceptual hash, '' if it has none.
    An unreadable image has row -1, an error, and neither sha256, size (0) nor phash.
    """

    row: int
    split: str
    label: int
    class_name: str
    source_name: str
    sha256: str
    file_sha256: str
    width: int
    height: int
    phash: str
    error: str


COLUMNS = Entry._fields
SEAL = "# sha256 "
BLOCK = 1024  # images that a thread checks at a time


@dataclass(frozen=True)
class Index:
    """entries: the packed images, entry i in row i, ordered by split; unreadable: the others.
    left_out: training rows that are no examples, as they are copies of held-out images."""

    entries: tuple[Entry, ...]
    unreadable: tuple[Entry, ...]
    left_out: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.entries)

    def split_slice(self, split: str) -> slice:
        """The rows of train, val, public, private or unlabelled."""
        rank = PACKED.index(split)
        start, stop = np.searchsorted(self._ranks, [rank, rank + 1])
        return slice(int(start), int(stop))

    def examples(self) -> slice | np.ndarray:
        """The rows of the train split, less those left out."""
        rows = self.split_slice("train")
        if not self.left_out:
            return rows
        return np.setdiff1d(np.arange(rows.start, rows.stop), self.left_out)

    @property
    def scored(self) -> slice:
        """The rows of all splits but the unlabelled images of a labelled set, which lie behind them."""
        return slice(0, self.split_slice(UNLABELLED).start)

    def labels(self, split: str) -> np.ndarray:
        """int64 (n,), the labels of a split's rows; -1 where there is none."""
        return self.all_labels[self.split_slice(split)]

    def split_entries(self, split: str) -> tuple[Entry, ...]:
        """The packed images of a split, in the order of their rows."""
        return self.entries[self.split_slice(split)]

    @cached_property
    def all_labels(self) -> np.ndarray:
        """int64 (N,)."""
        return np.array([entry.label for entry in self.entries], dtype=np.int64)

    @cached_property
    def all_splits(self) -> np.ndarray:
        """Text (N,)."""
        longest = max((len(entry.split) for entry in self.entries), default=0)
        return np.array([entry.split for entry in self.entries], dtype=f"<U{max(7, longest)}")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names; a label is a position in them. Empty for an unlabelled set."""
        return _classes(self.entries + self.unreadable)

    @cached_property
    def _ranks(self) -> np.ndarray:
        return np.array([PACKED.index(entry.split) for entry in self.entries], dtype=np.int64)


def write_index(path: Path, entries: Iterable[Entry]) -> None:
    """Write an index; `entries` may be long: they are not held. Its last line is its checksum."""
    with atomic(path) as file:
        hashed, line = Hashed(file), io.StringIO()
        writer = csv.writer(line, lineterminator="\n")
        for row in itertools.chain([COLUMNS], entries):
            writer.writerow(row)
            hashed.write(line.getvalue().encode())
            line.seek(0)
            line.truncate()
        file.write(f"{SEAL}{hashed.digest.hexdigest()}\n".encode())


def read_index(path: Path) -> Index:
    """Read and check an index. Raises UserError with the file and, where it can, the line."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(_checked(file), strict=True)
            if tuple(next(reader, ())) != COLUMNS:
                raise ValueError(f"line 1: the columns must be {','.join(COLUMNS)}")
            entries = [parse(fields, reader.line_num) for fields in reader]
        packed = tuple(entry for entry in entries if not entry.error)
        index = Index(packed, tuple(entry for entry in entries if entry.error))
        _check(index)
    except FileNotFoundError:
        raise UserError(f"{path}: missing; it is made by: sslpipe subset {path.stem}") from None
    except (ValueError, csv.Error) as error:
        raise UserError(
            f"{path}: malformed: {error}; make it again: sslpipe subset {path.stem}"
        ) from None
    return index


def _checked(lines: Iterable[str]) -> Iterator[str]:
    """The lines but the last. Raises ValueError at the end if that is not their checksum."""
    digest, before = hashlib.sha256(), None
    for line in lines:
        if before is not None:
            digest.update(before.encode())
            yield before
        before = line
    if before != f"{SEAL}{digest.hexdigest()}\n":
        raise ValueError("its last line is not its checksum")


def open_packed(layout: Layout, name: str, *, check: bool = True) -> tuple[np.ndarray, Index]:
    """A set's images, uint8 (N, S, S, 3), mapped from the file, and its index.

    check: read all images once and compare them with the index's checksums.
    Raises UserError when a file is missing or malformed, or the two do not belong together.
    """
    index = read_index(layout.packed_index(name))
    path = layout.packed_images(name)
    again = f"make it again: sslpipe subset {name}"
    try:
        images = np.load(path, mmap_mode="c", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path}: missing; it is made by: sslpipe subset {name}") from None
    except Exception as error:  # whatever numpy's parser of a header raises
        raise UserError(f"{path}: malformed ({error}); {again}") from None
    side = images.shape[1] if images.ndim == 4 else 0
    if images.dtype != np.uint8 or images.shape[1:] != (side, side, 3):
        raise UserError(f"{path}: expected uint8 N×S×S×3, not {images.dtype} {images.shape}")
    if len(images) != len(index):
        raise UserError(
            f"{path}: {len(images)} images, but {len(index)} in {layout.packed_index(name)}; {again}"
        )
    if check and (row := _first_damaged(images, index)) is not None:
        raise UserError(
            f"{path}: image {row} is not what was packed (its checksum differs); {again}"
        )
    return images, index


def _first_damaged(images: np.ndarray, index: Index) -> int | None:
    """The first row whose pixels do not have the index's sha256."""

    def look(start: int) -> int | None:
        for row in range(start, min(start + BLOCK, len(images))):
            if hashlib.sha256(images[row]).hexdigest() != index.entries[row].sha256:
                return row
        return None

    # Threads, as hashing and reading leave the interpreter to others.
    with ThreadPoolExecutor(len(usable_cores())) as pool:
        found = pool.map(look, range(0, len(images), BLOCK))
        return next((row for row in found if row is not None), None)


def parse(fields: list[str], line: int) -> Entry:
    """One line of an index. Raises ValueError that says what is wrong with it."""
    if len(fields) != len(COLUMNS):
        raise ValueError(f"line {line}: {len(fields)} columns instead of {len(COLUMNS)}")
    row, split, label, class_name, source_name, sha256, file_sha256, width, height, *texts = fields
    try:
        numbers = int(row), int(label), int(width), int(height)
    except ValueError:
        raise ValueError(
            f"line {line}: row, label, width and height must be whole numbers"
        ) from None
    entry = Entry(
        numbers[0],
        sys.intern(split),
        numbers[1],
        sys.intern(class_name),
        source_name,
        sha256,
        file_sha256,
        *numbers[2:],
        *texts,
    )
    if split not in PACKED:
        raise ValueError(f"line {line}: split {split!r}")
    if (entry.row < 0) != bool(entry.error):
        raise ValueError(f"line {line}: row -1 and an error belong together")
    # an unreadable image has no pixels, but a file
    for sha256 in (file_sha256,) if entry.error else (entry.sha256, file_sha256):
        if not SHA256.fullmatch(sha256):
            raise ValueError(f"line {line}: not a sha256: {sha256!r}")
    if not entry.error and not PHASH.fullmatch(entry.phash):
        raise ValueError(f"line {line}: not a perceptual hash: {entry.phash!r}")
    return entry


def _check(index: Index) -> None:
    if not index.entries:
        raise ValueError("no images")
    if [entry.row for entry in index.entries] != list(range(len(index))):
        raise ValueError("the rows must be 0, 1, 2, …")
    if (np.diff(index._ranks) < 0).any():
        raise ValueError(f"the splits must stand in the order {', '.join(PACKED)}")
    labels = {class_name: label for label, class_name in enumerate(index.classes)} or {"": -1}
    for entry in index.entries + index.unreadable:
        expected = labels.get(entry.class_name)
        if entry.split == UNLABELLED:
            expected = -1 if entry.class_name == "" else None
        if expected != entry.label:
            raise ValueError(
                f"{entry.source_name}: label {entry.label} of class {entry.class_name!r}; labels "
                "are positions in the sorted class names"
            )


def _classes(entries: Iterable[Entry]) -> tuple[str, ...]:
    return tuple(sorted({entry.class_name for entry in entries if entry.class_name}))
