"""Copies and near copies of held-out images, against a brute-force search and real photographs."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from skimage import data

from sslpipe.data import duplicates
from sslpipe.data.decode import How, decode
from sslpipe.data.duplicates import leaks, nearest
from sslpipe.data.index import Entry, Index

PHOTOS = ("astronaut", "cat", "coffee", "rocket", "camera", "coins", "retina", "page")


def photo(name: str) -> Image.Image:
    return Image.fromarray(getattr(data, name)()).convert("RGB")


def phash(image: Image.Image, resize: str = "squash", kind: str = "PNG", **settings) -> np.uint64:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return np.uint64(int(decode(file.getvalue(), How(64, resize)).phash, 16))


def changed(image: Image.Image) -> dict[str, np.uint64]:
    half = image.resize((image.width // 2, image.height // 2))
    return {
        "compressed": phash(image, kind="JPEG", quality=30),
        "half the size": phash(half, kind="JPEG"),
        "squashed": phash(image.resize((80, 80))),
        "grey": phash(image.convert("L")),
        "brighter": phash(ImageEnhance.Brightness(image).enhance(1.15)),
        "its whole, though its centre is packed": phash(image, "crop"),
    }


@pytest.mark.parametrize("name", PHOTOS)
def test_the_same_photograph_in_another_form_is_near(name):
    original = phash(photo(name))
    for how, other in changed(photo(name)).items():
        assert np.bitwise_count(original ^ other) <= 6, how


def test_different_photographs_are_far():
    hashes = np.array([phash(photo(name)) for name in PHOTOS])
    differing = np.bitwise_count(hashes[:, None] ^ hashes[None]).astype(int)
    assert differing[~np.eye(len(hashes), dtype=bool)].min() > 12


@pytest.mark.parametrize("piece", [1, 7, 512])
def test_nearest_is_what_brute_force_finds(monkeypatch, piece):
    monkeypatch.setattr(duplicates, "PIECE", piece)
    rng = np.random.default_rng(0)
    queries, bank = (rng.integers(0, 2**64, n, dtype=np.uint64) for n in (20, 33))
    bank[[4, 30]] = queries[3]
    bits, places = nearest(queries, bank)
    for query, bit, place in zip(queries.tolist(), bits, places, strict=True):
        all_bits = [(query ^ other).bit_count() for other in bank.tolist()]
        assert bit == min(all_bits)
        assert place == all_bits.index(bit)


def entry(row: int, split: str, pixels: str, file: str, bits: int) -> Entry:
    return Entry(
        row, split, 0, "k", f"all/k/{row}", pixels, file, 9, 9, f"{(1 << bits) - 1:016x}", ""
    )


def index(*entries: Entry) -> Index:
    return Index(entries, ())


TRAIN = [
    entry(0, "train", "p0", "f0", 40),  # equal pixels, though the hash is far
    entry(1, "train", "p1", "f1", 64),  # equal files
    entry(2, "train", "p2", "f2", 3),  # nearest of two: 1 bit from B's, 3 from A's
    entry(3, "train", "p3", "f3", 30),  # nothing near
    entry(4, "train", "p4", "f4", 8),  # 4 bits from B's
]
A = index(
    *TRAIN,
    entry(5, "val", "p0", "x", 20),
    entry(6, "public", "x", "f1", 20),
    entry(7, "private", "y", "y", 0),
)
B = index(entry(0, "train", "p3", "f3", 30), entry(1, "public", "z", "z", 4))


def found(near_duplicates):
    return [
        (leak.image.row, leak.dataset, leak.held_out.row, leak.kind, leak.bits)
        for leak in leaks(TRAIN, {"a": A, "b": B}, near_duplicates)
    ]


def test_each_kind_of_leak_with_the_image_it_gives_away():
    equal = [(0, "a", 5, "pixels", 0), (1, "a", 6, "file", 0)]
    assert found(None) == equal
    assert found(0) == equal
    assert found(1) == [*equal, (2, "b", 1, "near", 1)]
    assert found(3) == [*equal, (2, "b", 1, "near", 1)]
    assert found(4) == [*equal, (2, "b", 1, "near", 1), (4, "b", 1, "near", 4)]


def test_sets_without_labels_hold_nothing_out():
    unlabelled = [other._replace(label=-1, class_name="") for other in B.entries]
    assert leaks(TRAIN, {"b": index(*unlabelled)}, 6) == []


def test_images_without_a_hash_are_near_no_other():
    flat = entry(0, "train", "p", "f", 0)._replace(phash="")
    other = entry(1, "val", "q", "g", 0)._replace(phash="")
    assert leaks([flat], {"a": index(other)}, 16) == []
    assert leaks([flat], {"a": index(other._replace(sha256="p"))}, 16) != []
    assert leaks([TRAIN[2]], {"a": index(other)}, 16) == []


def test_without_held_out_images_there_is_nothing():
    assert leaks(TRAIN, {"b": index(entry(0, "train", "p0", "f0", 40))}, 6) == []
    assert leaks([], {"a": A}, 6) == []


def set_of(train: int, held_out: int, bits: list[int]) -> Index:
    """Random hashes, of which the first held-out ones differ by so many bits from the first of train."""
    rng = np.random.default_rng(0)
    numbers = [int(n) for n in rng.integers(0, 2**64, train + held_out, dtype=np.uint64)]
    for i, differing in enumerate(bits):
        numbers[train + i] = numbers[i] ^ ((1 << differing) - 1)
    splits = ["train"] * train + ["public"] * held_out
    return index(
        *(
            entry(row, split, f"p{row}", f"f{row}", 0)._replace(phash=f"{number:016x}")
            for row, (split, number) in enumerate(zip(splits, numbers, strict=True))
        )
    )


def test_many_close_ones_are_copies(capsys):
    found = duplicates.copies(set_of(40, 40, [0] * 10 + [2] * 6 + [4] * 4))
    assert found.near == {"public": 20} and not found.equal
    assert found.rows == list(range(20))
    assert capsys.readouterr().err == ""


def test_many_that_are_not_close_say_that_the_hash_fails(capsys):
    found = duplicates.copies(set_of(40, 40, [2] * 4 + [4] * 6 + [6] * 10))
    assert not found.near and found.rows == []
    assert "20 training images look like held-out ones, but not closely" in capsys.readouterr().err


def test_compressed_and_smaller_copies_of_photographs_are_close():
    bits = [
        int(np.bitwise_count(phash(photo(name)) ^ other))
        for name in PHOTOS
        for other in changed(photo(name)).values()
    ]
    assert np.mean(np.array(bits) <= duplicates.CLOSE) > 0.9
