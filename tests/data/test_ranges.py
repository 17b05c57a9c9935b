"""Grey values of more than 8 bits: the range of a whole set."""

import io
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tifffile
from PIL import Image, TiffImagePlugin

from made_of import stamp
from sslpipe.data import raw
from sslpipe.data.index import open_packed
from sslpipe.layout import Layout
from sslpipe.params import load
from sslpipe.schema.data import Dataset
from sslpipe.stages import subset

PARAMS = load(Path(__file__).parents[2] / "presets/default.yaml")
SPLITS = ("train", "val", "public", "private")


def grey(seed: int, top: float) -> np.ndarray:
    """(16, 16), from 0 to `top`."""
    values = np.random.default_rng(seed).random((16, 16))
    values[0, :2] = 0, 1
    return values * top


def packed(tmp_path, make, kind="TIFF", **settings):
    """The set's images (N, 16, 16), in the order of their numbers, and what was said."""
    layout = Layout(tmp_path)
    names = [f"{split}/{c}/{i}" for split in SPLITS for c in "ab" for i in range(3)]
    members = []
    for number, name in enumerate(names):
        file = io.BytesIO()
        image, options = make(number)
        image.save(file, kind, **options)
        members.append((name, file.getvalue()))
    raw.write(layout.raw("mine"), sorted(members))
    mine = Dataset(source={"kind": "folder", "path": "x"}, **settings)
    datasets = {**PARAMS.datasets, "mine": mine}
    params = PARAMS.model_copy(update={"image_size": 16, "datasets": datasets})
    stamp(params, layout)
    subset.run(params, layout, "mine")
    images, index = open_packed(layout, "mine")
    order = sorted(range(len(index)), key=lambda row: names.index(index.entries[row].source_name))
    return images[order][..., 0]


def test_an_overshoot_does_not_make_an_image_black(tmp_path, capsys):
    tops = [1.0 if number % 2 else 1.003 for number in range(24)]
    images = packed(tmp_path, lambda i: (Image.fromarray(grey(i, tops[i]).astype(np.float32)), {}))
    expected = [np.clip(np.rint(grey(i, tops[i]) * 255), 0, 255) for i in range(24)]
    np.testing.assert_array_equal(images, expected)
    assert "24 images of floats: 0 … 1 become 0 … 255" in capsys.readouterr().err


def test_a_dark_scene_stays_dark(tmp_path):
    tops = [0.9 if number == 3 else 255.0 for number in range(24)]
    images = packed(tmp_path, lambda i: (Image.fromarray(grey(i, tops[i]).astype(np.float32)), {}))
    assert images[3].max() == 1
    assert images[4].max() == 255


def test_one_odd_image_does_not_decide_for_all(tmp_path):
    tops = [1e6 if number == 3 else 4000.0 for number in range(24)]
    images = packed(tmp_path, lambda i: (Image.fromarray(grey(i, tops[i]).astype(np.float32)), {}))
    np.testing.assert_array_equal(
        images[5], np.rint(grey(5, 4000).astype(np.float32) * (255 / 4000))
    )


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_bits_of_sixteen(tmp_path, capsys, kind, bits):
    top = 2**bits - 1
    images = packed(tmp_path, lambda i: (Image.fromarray(grey(i, top).astype(np.uint16)), {}), kind)
    expected = [np.rint(grey(i, top).astype(np.uint16) * (255 / top)) for i in range(24)]
    np.testing.assert_array_equal(images, expected)
    assert f"({bits} bits, as the set's highest is {top})" in capsys.readouterr().err


def test_a_file_that_tells_its_range_is_believed(tmp_path):
    def make(number):
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[341], tags.tagtype[341] = 4095, 3
        return Image.fromarray(grey(number, 1000).astype(np.uint16)), {"tiffinfo": tags}

    images = packed(tmp_path, make)
    np.testing.assert_array_equal(
        images[0], np.rint(grey(0, 1000).astype(np.uint16) * (255 / 4095))
    )


def test_the_users_range_counts_most_and_cuts_off(tmp_path):
    def make(number):
        return Image.fromarray(grey(number, 4095).astype(np.uint16)), {}

    images = packed(tmp_path, make, range=[1000, 2000])
    values = grey(0, 4095).astype(np.uint16).astype(float)
    expected = np.clip(np.rint((values - 1000) * (255 / 1000)), 0, 255)
    np.testing.assert_array_equal(images[0], expected)


def test_a_set_without_contrast_is_said(tmp_path, capsys):
    packed(tmp_path, lambda i: (Image.fromarray((grey(i, 9)).astype(np.uint8)), {}), "PNG")
    assert "24 of 24 images have almost no contrast" in capsys.readouterr().err


@pytest.mark.parametrize("top", [1.3, 1.6, 10.0])
def test_floats_that_often_exceed_one_are_not_black(tmp_path, top):
    images = packed(tmp_path, lambda i: (Image.fromarray(grey(i, top).astype(np.float32)), {}))
    expected = np.rint(grey(5, top).astype(np.float32) * (255 / top))
    np.testing.assert_allclose(images[5], expected, atol=1)


def test_few_bright_pixels_on_black_are_of_255(tmp_path):
    def make(number):
        values = np.zeros((16, 16), np.float32)
        values[0, :2] = 200, 90
        return Image.fromarray(values), {}

    assert packed(tmp_path, make)[0, 0, :3].tolist() == [200, 90, 0]


def test_a_hot_pixel_does_not_darken_the_set(tmp_path):
    def make(number):
        values = np.tile(grey(number, 4095), (3, 3)).astype(np.uint16)
        values[0, 0] = 65535
        return Image.fromarray(values), {}

    assert packed(tmp_path, make).mean() > 100


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


class Encoded(NamedTuple):
    """Stands for an image that Pillow does not write."""

    content: bytes

    def save(self, file, kind, **options):
        file.write(self.content)


def sixteen_bit_png(values, *chunks):
    """(H, W) grey, or (H, W, 3) colour; chunks: kind and data of those before the pixels."""
    height, width = values.shape[:2]
    colour = 2 if values.ndim == 3 else 0
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return Encoded(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


@pytest.mark.parametrize("top, highest", [(900, 4095), (4095 << 4, 65535)])
def test_significant_bits_are_the_range_unless_values_are_scaled(tmp_path, top, highest):
    """The PNG specification, 11.3.2.8, has them scaled; not all that writes sBIT does it."""
    bits = (b"sBIT", b"\x0c")
    images = packed(
        tmp_path, lambda i: (sixteen_bit_png(grey(i, top).astype(np.uint16), bits), {}), "PNG"
    )
    expected = np.rint(grey(2, top).astype(np.uint16) * (255 / highest))
    np.testing.assert_array_equal(images[2], expected)


def colour(number, top):
    return np.stack([grey(3 * number + i, top) for i in range(3)], axis=-1).astype(np.uint16)


def colour_tiff(values, **settings):
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="rgb", **settings)
    return Encoded(file.getvalue())


@pytest.mark.parametrize(
    "encode",
    [
        sixteen_bit_png,
        colour_tiff,
        lambda values: colour_tiff(values, byteorder=">"),
        lambda values: colour_tiff(values, compression="zlib"),
    ],
    ids=["PNG", "TIFF", "TIFF of the other order", "compressed TIFF"],
)
def test_colour_of_twelve_bits(tmp_path, encode):
    images = packed(tmp_path, lambda i: (encode(colour(i, 4095)), {}))
    np.testing.assert_array_equal(images[7], np.rint(colour(7, 4095)[..., 0] * (255 / 4095)))


def test_a_pgm_has_told_its_highest_value(tmp_path):
    def make(number):
        values = grey(number, 900).astype(">u2")
        return Encoded(b"P5 16 16 4095\n" + values.tobytes()), {}

    images = packed(tmp_path, make)
    np.testing.assert_allclose(images[1], grey(1, 900) * (255 / 4095), atol=0.6)
