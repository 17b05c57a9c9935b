"""Training images that are also held-out images, or look the same."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from sslpipe.data.index import Entry, Index
from sslpipe.io.progress import say

HELD_OUT = ("val", "public", "private")
PIECE = 512
"""So many training with so many held-out images are compared at a time: 2 MB, which stay in cache."""


MANY = 0.05
"""From this share of a set on, images that look the same are hardly copies: see `too_many`."""


NEAR = 6
"""Bits of 64, by default: of 20,000 photographs nine in ten pairs within them were the same one."""


CLOSE = 2
"""Bits: of true copies, compressed or made smaller, nine in ten are as close; of Fashion-MNIST's images
that look alike one in ten."""


class Leak(NamedTuple):
    """A training image and the held-out image it gives away.

    kind: `pixels` (the packed pixels are equal), `file` (the encoded files are), or `near`, with
    the number of differing bits of the perceptual hashes.
    """

    image: Entry
    dataset: str
    held_out: Entry
    kind: str
    bits: int


def leaks(
    train: Iterable[Entry], indexes: Mapping[str, Index], near_duplicates: int | None
) -> list[Leak]:
    """What a set's training images share with the val, public and private images of `indexes`.

    Those without labels do not count, as they are never scored.

    At most one leak for each training image: with an equal image if there is one, else with the
    nearest whose perceptual hash differs in at most `near_duplicates` of 64 bits; None: equal only.
    Images without a perceptual hash are near no other.
    """
    held_out = [
        (dataset, entry)
        for dataset, index in indexes.items()
        if index.classes  # what has no labels is never scored
        for split in HELD_OUT
        for entry in index.split_entries(split)
    ]
    return _like(train, held_out, near_duplicates)


def _like(
    images: Iterable[Entry], held_out: list[tuple[str, Entry]], near_duplicates: int | None
) -> list[Leak]:
    """Those of `images` that equal one of the others or look like it, in the order of their rows."""
    # Pixels alone miss a file that two sets resize differently; files alone, another encoding.
    by_pixels = {entry.sha256: (dataset, entry) for dataset, entry in reversed(held_out)}
    by_file = {entry.file_sha256: (dataset, entry) for dataset, entry in reversed(held_out)}
    found = []
    others = []
    for image in images:
        if image.sha256 in by_pixels:
            found.append(Leak(image, *by_pixels[image.sha256], "pixels", 0))
        elif image.file_sha256 in by_file:
            found.append(Leak(image, *by_file[image.file_sha256], "file", 0))
        elif image.phash:
            others.append(image)
    held_out = [(dataset, entry) for dataset, entry in held_out if entry.phash]
    if near_duplicates is not None and others and held_out:
        bits, places = nearest(hashes(others), hashes(entry for _, entry in held_out))
        found += [
            Leak(others[i], *held_out[int(places[i])], "near", int(bits[i]))
            for i in np.flatnonzero(bits <= near_duplicates)
        ]
    return sorted(found, key=lambda leak: leak.image.row)


class Copies(NamedTuple):
    """How many held-out images of a set equal one of its training images, or look like one, and how
    many of either have another class; by split. rows: the training images, ascending."""

    equal: Counter[str]
    near: Counter[str]
    other_class: Counter[str]
    rows: list[int]


def copies(index: Index, near_duplicates: int | None = NEAR) -> Copies:
    """A labelled set's held-out images among its own training images.

    Where many look alike but few are close, the hash cannot tell them apart, and only equal ones count.
    """
    train = index.split_entries("train")
    found = leaks(train, {"": index}, near_duplicates)
    near = [leak.bits for leak in found if leak.kind == "near"]
    if too_many(found, len(train)) and sum(bits <= CLOSE for bits in near) < len(near) / 2:
        say(
            f"{len(near)} training images look like held-out ones, but not closely: their hashes may not "
            "tell them apart, so that only equal images count as copies"
        )
        near_duplicates = None
        found = leaks(train, {"": index}, None)
    held_out = [entry for split in HELD_OUT for entry in index.split_entries(split)]
    of_held_out = _like(held_out, [("", entry) for entry in train], near_duplicates)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in ("equal", "near", "other")}
    for leak in of_held_out:
        split = leak.image.split
        counts["near" if leak.kind == "near" else "equal"][split] += 1
        counts["other"][split] += leak.image.label != leak.held_out.label
    rows = [leak.image.row for leak in found]
    return Copies(counts["equal"], counts["near"], counts["other"], rows)


def too_many(found: Iterable[Leak], images: int) -> bool:
    """Whether so many of a set's images look like held-out ones that the hash must be to blame.

    It tells photographs apart, not small pictures of aligned things, which differ in details alone.
    """
    return sum(leak.kind == "near" for leak in found) > MANY * images


def hashes(entries: Iterable[Entry]) -> np.ndarray:
    """uint64 (N,)."""
    return np.array([int(entry.phash, 16) for entry in entries], dtype=np.uint64)


def nearest(queries: np.ndarray, bank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of N hashes the smallest number of bits in which one of M differs, and its place.

    Both: uint64, (N,) and (M,). Returns int64 (N,) and int64 (N,); the first of equals.
    """
    bits = np.full(len(queries), 65, dtype=np.int64)
    places = np.zeros(len(queries), dtype=np.int64)
    for i in range(0, len(queries), PIECE):
        for j in range(0, len(bank), PIECE):
            differing = np.bitwise_count(queries[i : i + PIECE, None] ^ bank[None, j : j + PIECE])
            place = differing.argmin(axis=1)
            least = differing[np.arange(len(place)), place]
            better = least < bits[i : i + PIECE]
            bits[i : i + PIECE][better] = least[better]
            places[i : i + PIECE][better] = place[better] + j
    return bits, places
