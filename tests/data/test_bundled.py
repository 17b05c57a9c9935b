"""Images that ship inside packages."""

import importlib.util
import io
import itertools
import socket
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslpipe.data.sources import bundled
from sslpipe.errors import UserError
from sslpipe.schema.sources.bundled import Digits, Elpv, PhotoPatches

FEW = PhotoPatches(train_per_class=10, val_per_class=3, test_per_class=2)
COLOURS = {"train": 10, "val": 90, "public": 170, "private": 250}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("bundled sources must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_photo_patches_have_the_counts_of_the_settings_in_ascending_order():
    names = [name for name, _ in bundled.photo_patches(FEW, Path())]
    assert names == sorted(set(names))
    counts = Counter(tuple(name.split("/")[:2]) for name in names)
    assert len(bundled.PHOTOGRAPHS) == 20
    for photo in bundled.PHOTOGRAPHS:
        assert [counts[s, photo] for s in ("train", "val", "public", "private")] == [10, 3, 2, 2]
    assert len(counts) == 80


def test_photo_patches_are_squares_of_the_stated_sides():
    sizes = [opened(content).size for _, content in bundled.photo_patches(FEW, Path())]
    assert all(width == height for width, height in sizes)
    sides = [width for width, _ in sizes]
    assert min(sides) >= 34
    assert max(sides) <= 67
    assert len(set(sides)) > 20


def test_photo_patches_are_the_same_each_time_and_keep_their_place_when_more_are_asked_for():
    first = dict(bundled.photo_patches(FEW, Path()))
    assert dict(bundled.photo_patches(FEW, Path())) == first
    more = dict(
        bundled.photo_patches(
            PhotoPatches(train_per_class=12, val_per_class=4, test_per_class=3), Path()
        )
    )
    assert first.items() <= more.items()
    assert len(set(first.values())) > 0.99 * len(first)


@pytest.mark.parametrize("size", [(512, 512), (451, 300), (550, 660), (1411, 1411), (384, 191)])
def test_patches_never_cross_bands(monkeypatch, size):
    """Each band has its own grey value: any pixel from another band, or a blend, would show."""
    width, height = size
    grey = np.zeros((height, width), np.uint8)
    for split, (start, stop) in bundled.BANDS.items():
        grey[:, round(start * width) : round(stop * width)] = COLOURS[split]
    monkeypatch.setattr(bundled, "photograph", lambda name: Image.fromarray(grey))
    many = PhotoPatches(train_per_class=20, val_per_class=20, test_per_class=20)
    for name, content in bundled.photo_patches(many, Path()):
        assert set(np.asarray(opened(content)).flat) == {COLOURS[name.split("/")[0]]}, name


def test_bands_partition_the_photograph():
    edges = [bundled.BANDS[split] for split in ("train", "val", "public", "private")]
    assert edges[0][0] == 0
    assert edges[-1][1] == 1
    assert all(left[1] == right[0] for left, right in itertools.pairwise(edges))


def test_patches_reach_all_of_a_band():
    boxes = np.array([bundled.patch_box(f"k/{i}", (100, 90)) for i in range(2000)])
    assert boxes[:, :2].min() == 0
    assert boxes[:, 2].max() == 100
    assert boxes[:, 3].max() == 90
    sides = boxes[:, 2] - boxes[:, 0]
    assert (sides == boxes[:, 3] - boxes[:, 1]).all()
    assert abs(sides.mean() - 48 * 1.05) < 0.5


def test_the_longer_side_becomes_512():
    photo = Image.new("L", (1000, 872))
    bands = [bundled.scaled_band(photo, split) for split in bundled.BANDS]
    assert abs(sum(band.width for band in bands) - 512) <= 2
    assert {band.height for band in bands} == {round(872 * 0.512)}


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    data = load_digits()
    members = list(bundled.digits(Digits(), Path()))
    assert [name for name, _ in members] == sorted(name for name, _ in members)
    assert len(members) == 1797
    for name, content in members[::100]:
        split, label, file = name.split("/")
        number = int(file.removesuffix(".png"))
        assert split == "all"
        assert data.target[number] == int(label)
        pixels = np.asarray(opened(content), float)
        np.testing.assert_allclose(pixels, data.images[number] * 255 / 16, atol=0.5)


@pytest.mark.skipif(
    importlib.util.find_spec("elpv_dataset") is None, reason="elpv-dataset is not installed"
)
def test_elpv_keeps_the_packages_files():
    members = dict(bundled.elpv(Elpv(), Path()))
    assert list(members) == sorted(members)
    counts = Counter(name.split("/")[1] for name in members)
    assert counts == {"functional": 1508 + 295, "defective": 106 + 715}
    image = opened(members["all/defective/cell0001.png"])
    assert (image.size, image.mode) == ((300, 300), "L")


def test_elpv_missing_names_the_package_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'sslpipe\[elpv\]'"):
        next(bundled.elpv(Elpv(), Path()))


def test_a_photograph_that_is_not_shipped_is_one_line(monkeypatch):
    monkeypatch.setitem(bundled.PHOTOGRAPHS, "astronaut", ("skimage", "data/gone.png"))
    with pytest.raises(UserError, match=r"data/gone\.png is not in the installed package"):
        list(bundled.photo_patches(FEW, Path()))
