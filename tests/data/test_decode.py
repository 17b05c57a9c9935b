"""Every kind of image file → S×S RGB pixels, against expectations made without the decoder."""

import hashlib
import io
import re
import struct
import warnings
import zlib

import imagehash
import numpy as np
import pytest
import skimage.data
from PIL import Image, PngImagePlugin

from sslpipe.data import decode as decode_module
from sslpipe.data.decode import How, central_square, decode, is_plain_jpeg
from sslpipe.data.decode import read as read_image
from sslpipe.data.images import kind_of
from sslpipe.data.ranges import look, of_set

SIDE = 16
GREY = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE)
COLOUR = np.stack([GREY, GREY[::-1], GREY.T], axis=-1)


def encoded(image: Image.Image, kind: str = "PNG", **settings) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def read(content: bytes, size: int = SIDE, resize: str = "squash") -> np.ndarray:
    image, resized_to = read_image(content, How(size, resize))
    pixels = resized_to(central_square(image) if resize == "crop" else image, size)
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8
    return pixels


def grey3(values) -> np.ndarray:
    return np.repeat(np.asarray(values, np.uint8)[..., None], 3, axis=-1)


def png_of(width: int, height: int, bits: int, rows: bytes) -> bytes:
    """An RGB file made by hand; each row is a filter byte and its samples."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return (
        signature + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def test_rgb_of_the_right_size_is_untouched():
    np.testing.assert_array_equal(read(encoded(Image.fromarray(COLOUR))), COLOUR)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_greyscale(kind):
    np.testing.assert_array_equal(read(encoded(Image.fromarray(GREY), kind)), grey3(GREY))


def test_bilevel():
    bits = (GREY % 3 == 0) * np.uint8(255)
    content = encoded(Image.fromarray(bits).convert("1", dither=Image.Dither.NONE))
    np.testing.assert_array_equal(read(content), grey3(bits))


def test_webp():
    content = encoded(Image.fromarray(COLOUR), "WEBP", lossless=True)
    np.testing.assert_array_equal(read(content), COLOUR)


def test_alpha_is_laid_on_white():
    alpha = np.full((SIDE, SIDE, 1), 64, np.uint8)
    content = encoded(Image.fromarray(np.concatenate([COLOUR, alpha], axis=-1)))
    expected = COLOUR * (64 / 255) + 255 * (1 - 64 / 255)
    np.testing.assert_allclose(read(content), expected, atol=1)


def test_transparent_pixels_are_white_whatever_colour_they_hide():
    pixels = np.concatenate([COLOUR, np.zeros((SIDE, SIDE, 1), np.uint8)], axis=-1)
    assert (read(encoded(Image.fromarray(pixels))) == 255).all()


def test_grey_with_alpha():
    pixels = np.stack([GREY, np.where(GREY > 99, 255, 0).astype(np.uint8)], axis=-1)
    expected = grey3(np.where(GREY > 99, GREY, 255))
    np.testing.assert_array_equal(read(encoded(Image.fromarray(pixels, "LA"))), expected)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_with_and_without_transparency(kind):
    indices = (GREY % 4).astype(np.uint8)
    image = Image.fromarray(indices, "P")
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    image.putpalette(colours.tobytes())
    np.testing.assert_array_equal(read(encoded(image, kind)), colours[indices])
    colours_on_white = colours.copy()
    colours_on_white[1] = 255
    content = encoded(image, kind, transparency=1)
    np.testing.assert_array_equal(read(content), colours_on_white[indices])


def test_one_transparent_colour():
    pixels = np.full((SIDE, SIDE, 3), 7, np.uint8)
    pixels[0] = [1, 2, 3]
    image = read(encoded(Image.fromarray(pixels), transparency=(1, 2, 3)))
    assert (image[0] == 255).all()
    assert (image[1:] == 7).all()


def read_as_set(content: bytes) -> np.ndarray:
    """Alone in its set."""
    with Image.open(io.BytesIO(content)) as image:
        ranges, _ = of_set([look(image, np.asarray(image))], None)
    return np.frombuffer(decode(content, How(SIDE, "squash", ranges)).pixels, np.uint8).reshape(
        SIDE, SIDE, 3
    )


def test_cmyk_jpeg():
    cmyk = np.zeros((SIDE, SIDE, 4), np.uint8)
    cmyk[..., 1] = 255  # no cyan, all magenta: red and blue remain
    content = encoded(Image.fromarray(cmyk, "CMYK"), "JPEG", quality=100)
    np.testing.assert_allclose(read(content), np.full((SIDE, SIDE, 3), [255, 0, 255]), atol=3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_divided_by_257(kind):
    values = (GREY.astype(np.uint16) * 257) + (GREY < 128)
    content = encoded(Image.fromarray(values), kind)
    np.testing.assert_array_equal(read(content), grey3(GREY))


def test_sixteen_bit_pgm():
    values = GREY.astype(">u2") * 257
    content = b"P5 %d %d 65535\n" % (SIDE, SIDE) + values.tobytes()
    np.testing.assert_array_equal(read(content), grey3(GREY))


def test_sixteen_bit_colour_png():
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in COLOUR)
    np.testing.assert_array_equal(read(png_of(SIDE, SIDE, 16, rows)), COLOUR)


@pytest.mark.parametrize(
    "values, expected",
    [
        (GREY / np.float32(255), GREY),
        (GREY.astype(np.float32), GREY),
        (GREY.astype(np.float32) * 10 - 1000, GREY),
        (np.full((SIDE, SIDE), -3, np.float32), np.zeros_like(GREY)),
    ],
    ids=["0…1", "0…255", "stretched", "constant"],
)
def test_floats(values, expected):
    content = encoded(Image.fromarray(values.astype(np.float32)), "TIFF")
    np.testing.assert_array_equal(read_as_set(content), grey3(expected))


def test_thirty_two_bits_beyond_sixteen_are_stretched():
    content = encoded(Image.fromarray(GREY.astype(np.int32) * 1000 - 7), "TIFF")
    np.testing.assert_array_equal(read_as_set(content), grey3(GREY))


def test_metadata_of_megabytes_do_not_make_pixels_unreadable():
    image = Image.fromarray(COLOUR)
    text = PngImagePlugin.PngInfo()
    text.add_text("notes", "x" * 5_000_000, zip=True)
    for settings in ({"icc_profile": bytes(2_000_000)}, {"pnginfo": text}):
        np.testing.assert_array_equal(read(encoded(image, "PNG", **settings)), COLOUR)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_megapixels_are_the_users_to_allow(kind):
    content = encoded(Image.new("L", (1200, 1000)), kind)
    assert not decode(content, How(8, "squash")).error
    refused = decode(content, How(8, "squash", megapixels=1.0)).error
    assert refused == "ValueError: 1 megapixels, more than max_megapixels allows"
    assert not decode(content, How(8, "squash", megapixels=1.2)).error


def test_warnings_decide_nothing(monkeypatch):
    for kind in ("PNG", "JPEG"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            monkeypatch.setattr(
                decode_module,
                "perceptual_hash",
                lambda image: str(warnings.warn("old", stacklevel=1)),
            )
            assert not decode(encoded(Image.fromarray(COLOUR), kind), How(8, "squash")).error


@pytest.mark.parametrize(
    "content, word",
    [
        (b"\0\0\0\x18ftypheic" + bytes(99), "HEIC"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"", "an empty file"),
        (b"\xff\x0a" + bytes(99), "JPEG XL"),
    ],
)
def test_what_is_no_image_is_named(content, word):
    assert word in decode(content, How(8, "squash")).error
    assert kind_of(content[:64]) != "image"


def test_avif_is_read():
    content = encoded(Image.fromarray(COLOUR), "AVIF", quality=100)
    assert kind_of(content[:64]) == "image"
    assert np.abs(read(content).astype(int) - COLOUR).max() < 20


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(kind):
    first, second = (Image.new("RGB", (SIDE, SIDE), c) for c in ("#ff0000", "#0000ff"))
    settings = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(first, kind, save_all=True, append_images=[second], **settings)
    np.testing.assert_array_equal(read(content), np.full((SIDE, SIDE, 3), [255, 0, 0]))


# EXIF 2.32, table 6: which side of the scene the stored row 0 and column 0 are, as arrays.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}


def oriented(stored: np.ndarray, orientation: int, kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_orientation(orientation, kind):
    upright = COLOUR[:, :8]  # not square, so that a turn shows in the crop as well
    content = oriented(STORED[orientation](upright), orientation, kind)
    np.testing.assert_array_equal(read(content, 8, "crop"), upright[4:12])


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_of_a_jpeg(orientation):
    """Four flat quarters of a photograph."""
    corners = np.array([[[250, 10, 10], [10, 250, 10]], [[10, 10, 250], [250, 250, 10]]], np.uint8)
    upright = corners.repeat(96, axis=0).repeat(64, axis=1)
    pixels = read(oriented(STORED[orientation](upright), orientation, "JPEG"), 8)
    np.testing.assert_allclose(pixels[[1, 1, 6, 6], [1, 6, 1, 6]], corners.reshape(4, 3), atol=6)


def test_an_unknown_orientation_is_ignored():
    np.testing.assert_array_equal(read(oriented(COLOUR, 99, "PNG")), COLOUR)


def triangle_resize(values: np.ndarray, size: int) -> np.ndarray:
    """Antialiased bilinear reduction of the first axis, from its definition."""
    length = len(values)
    scale = max(length / size, 1)
    centres = (np.arange(size) + 0.5) * length / size
    distance = np.abs(np.arange(length) + 0.5 - centres[:, None]) / scale
    weights = np.clip(1 - distance, 0, None)
    return np.tensordot(weights / weights.sum(1, keepdims=True), values, axes=1)


@pytest.mark.parametrize("height, width, size", [(40, 90, 16), (5, 7, 16), (64, 64, 9)])
def test_squash_is_antialiased_bilinear(height, width, size):
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows = triangle_resize(values, size)
    expected = triangle_resize(rows.swapaxes(0, 1), size).swapaxes(0, 1)
    np.testing.assert_allclose(read(encoded(Image.fromarray(values)), size), expected, atol=1.01)


@pytest.mark.parametrize("height, width", [(20, 60), (60, 20)])
def test_crop_takes_the_central_square(height, width):
    values = np.zeros((height, width, 3), np.uint8)
    top, left = (height - 20) // 2, (width - 20) // 2
    values[top : top + 20, left : left + 20] = 200
    assert (read(encoded(Image.fromarray(values)), 20, "crop") == 200).all()
    assert (read(encoded(Image.fromarray(values)), 20, "squash") == 0).any()


JPEGS = {
    "as usual": {},
    "full colour": {"subsampling": 0, "quality": 95},
    "progressive": {"progressive": True},
    "very small": {"quality": 5},
}


@pytest.mark.parametrize("how", JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [32, 100, 500])
def test_jpegs_have_pillows_pixels(how, mode, size):
    """Decoded by torchvision, for speed; resized by torch, which rounds otherwise here and there."""
    rows, columns = np.mgrid[0:301, 0:240]
    waves = [np.sin(rows / 3.2), np.sin((rows + columns) / 6), np.sin(columns / 14)]
    image = Image.fromarray((127 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)).convert(mode)
    content = encoded(image, "JPEG", **JPEGS[how])
    by_pillow = Image.open(io.BytesIO(content)).convert("RGB")
    np.testing.assert_array_equal(
        read_image(content, How(SIDE, "squash"))[0], np.asarray(by_pillow)
    )
    resized = np.asarray(by_pillow.resize((size, size), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(read(content, size) - resized).max() <= 1


def with_chunk(content: bytes, kind: bytes, data: bytes, damage: int = 0) -> bytes:
    """A PNG with one more chunk before its pixels."""
    checksum = struct.pack(">I", zlib.crc32(kind + data) ^ damage)
    return content[:33] + struct.pack(">I", len(data)) + kind + data + checksum + content[33:]


@pytest.mark.parametrize(
    "chunk",
    [
        (b"tEXt", b"a\0b", 1),
        (b"iCCP", b"a\0"),
        (b"iCCP", b"a\0\5bc"),
        (b"zTXt", b"a\0\7bc"),
        (b"gAMA", b"a"),
        (b"fcTL", b"a"),
        (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**28 + 1))),
    ],
    ids=["checksum", "cut profile", "profile", "text", "gamma", "animation", "very long text"],
)
def test_damaged_metadata_do_not_make_a_png_unreadable(chunk):
    turned = oriented(STORED[6](COLOUR), 6, "PNG")
    np.testing.assert_array_equal(read(with_chunk(turned, *chunk)), COLOUR)


def test_cut_pixels_stay_unreadable():
    content = with_chunk(PNG[: len(PNG) // 2], b"gAMA", b"a")
    assert decode(content, How(8, "squash")).error


def test_the_small_picture_of_a_raw_file_is_not_taken_for_it():
    content = encoded(Image.fromarray(COLOUR), "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    assert "raw file" in decode(content, How(8, "squash")).error


def with_size(content: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    at = next(i for i in range(len(content)) if content[i : i + 2] in (b"\xff\xc0", b"\xff\xc2"))
    return content[: at + 5] + struct.pack(">HH", height, width) + content[at + 9 :]


def test_which_jpegs_are_plain():
    usual = encoded(Image.fromarray(COLOUR), "JPEG")
    assert is_plain_jpeg(usual, 10**8)
    assert is_plain_jpeg(
        encoded(Image.fromarray(COLOUR), "JPEG", progressive=True, comment=b"x"), 10**8
    )
    assert is_plain_jpeg(encoded(Image.fromarray(GREY), "JPEG"), 10**8)
    exif = Image.Exif()
    exif[0x0112] = 6
    for other in (
        encoded(Image.fromarray(COLOUR), "JPEG", exif=exif),
        encoded(Image.new("CMYK", (8, 8)), "JPEG"),
        with_size(usual, 60_000, 60_000),
        with_size(usual, 0, 9),
        usual[:2] + b"\xff" + usual[2:],  # a fill byte, which hides nothing from Pillow
        usual[:20],
        PNG,
        b"",
    ):
        assert not is_plain_jpeg(other, 10**8)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_bomb_is_refused_before_it_takes_memory(progressive):
    content = encoded(Image.fromarray(COLOUR), "JPEG", progressive=progressive)
    assert (
        "more than max_megapixels allows"
        in decode(with_size(content, 65_500, 65_500), How(8, "crop")).error
    )


def test_size_and_perceptual_hash_are_of_the_whole_upright_image():
    image = Image.fromarray(skimage.data.astronaut()).resize((96, 144))
    content = oriented(STORED[6](np.asarray(image)), 6, "PNG")
    squash, crop = (decode(content, How(64, resize)) for resize in ("squash", "crop"))
    assert squash[3:5] == crop[3:5] == (96, 144)
    small = image.resize((64, 64), Image.Resampling.BILINEAR)
    expected = imagehash.phash(small)
    for decoded in (squash, crop):
        assert expected - imagehash.hex_to_hash(decoded.phash) <= 2
    assert squash.pixels != crop.pixels


def test_the_hashes_are_of_the_pixels_and_of_the_file():
    content = encoded(Image.fromarray(COLOUR))
    decoded = decode(content, How(SIDE, "squash"))
    assert decoded.pixels == COLOUR.tobytes()
    assert decoded.sha256 == hashlib.sha256(COLOUR.tobytes()).hexdigest()
    assert decoded.file_sha256 == hashlib.sha256(content).hexdigest()
    assert decoded.error == ""


def test_images_of_little_contrast_have_no_perceptual_hash():
    """Flat ones would all be near each other, by the sign of rounding errors."""
    ramp = np.linspace(-1, 1, 64).repeat(64 * 3).reshape(64, 64, 3) * 3**0.5  # deviation 1
    for contrast, has_hash in ((0, False), (14, False), (18, True)):
        pixels = (128 + contrast * ramp).astype(np.uint8)
        assert bool(decode(encoded(Image.fromarray(pixels)), How(64, "squash")).phash) == has_hash


PHOTO = encoded(Image.fromarray(COLOUR.repeat(8, 0).repeat(8, 1)), "JPEG")
PNG = encoded(Image.fromarray(COLOUR))
NAN = np.full((SIDE, SIDE), np.nan, np.float32)


def bomb() -> bytes:
    """A few bytes that claim to be 276 million pixels."""
    return png_of(23_000, 12_000, 8, b"")


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "not an image of a known format"),
        (b"no image", "not an image of a known format"),
        (PHOTO[: len(PHOTO) // 2], "truncated"),
        (PNG[: len(PNG) // 2], "truncated"),
        (PNG[:30], ""),
        (bomb(), "276 megapixels, more than max_megapixels allows"),
        (encoded(Image.fromarray(NAN), "TIFF"), "not finite"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "known format"),
    ],
    ids=["empty", "text", "cut jpeg", "cut png", "stub", "bomb", "nan", "eps"],
)
def test_unreadable_images_have_a_reason_that_is_the_same_each_time(content, reason):
    decoded = decode(content, How(SIDE, "squash"))
    assert (decoded.pixels, decoded.sha256) == (b"", "")
    assert decoded.file_sha256 == hashlib.sha256(content).hexdigest()
    assert decoded.error
    assert reason in decoded.error
    assert not re.search(r"0x[0-9a-f]|\n", decoded.error)
    assert decode(bytes(content), How(SIDE, "squash")) == decoded


def test_random_damage_never_raises():
    random = np.random.default_rng(1)
    kinds = {"JPEG": PHOTO, **{k: encoded(Image.fromarray(COLOUR), k) for k in ("PNG", "TIFF")}}
    kinds["GIF"] = encoded(Image.fromarray(GREY), "GIF")
    for content in kinds.values():
        for _ in range(150):
            damaged = bytearray(content)
            for place in random.integers(0, len(damaged), 4):
                damaged[place] = random.integers(256)
            decoded = decode(bytes(damaged), How(8, "crop"))
            assert bool(decoded.error) != (len(decoded.pixels) == 8 * 8 * 3)
