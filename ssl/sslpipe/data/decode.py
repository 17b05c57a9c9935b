"""Any image file → S×S RGB pixels."""

import contextlib
import hashlib
import re
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import imagehash
import numpy as np
from PIL import Image, UnidentifiedImageError

from sslpipe.data.images import (
    RAW,
    colour,
    is_wide_colour,
    kind_of,
    opened,
    rgb,
    turn,
    values_of,
    without_metadata,
)
from sslpipe.data.ranges import Ranges

LEAST_CONTRAST = 16.0
"""Standard deviation of the brightness, of 255, from which on an image has a perceptual hash."""


class Decoded(NamedTuple):
    """pixels: S·S·3 bytes and their sha256; or, for an unreadable image, empty and the reason.

    width, height: of the whole image, upright, in pixels. phash: see `perceptual_hash`. file_sha256
    is of the encoded bytes, readable or not.
    """

    pixels: bytes
    sha256: str
    file_sha256: str
    width: int
    height: int
    phash: str
    error: str


FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SEGMENT_MARKERS = frozenset([0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)])
"""Huffman and quantisation tables, restart interval, comment, application data."""

Resize = Callable[[np.ndarray, int], np.ndarray]

DNG_VERSION, SUB_IFDS, SUBFILE_TYPE, REDUCED = 50706, 330, 254, 1
"""Tags of TIFF. Of a camera's raw file Pillow would read the small picture that it begins with."""

MEGAPIXELS = 256.0
"""Of one image, at most: more than the cameras of phones give."""


class How(NamedTuple):
    """size: side in pixels; resize: `squash` both sides to it, or `crop` the central square and resize
    that. ranges: of grey values of more than 8 bits. megapixels: larger images count as unreadable."""

    size: int
    resize: str
    ranges: Ranges = Ranges()
    megapixels: float = MEGAPIXELS


Batch = tuple[str, list[tuple[int, int]], How]
"""A file that holds encoded images; (offset, length) of some; how to decode them."""


def decode_batch(batch: Batch) -> list[Decoded]:
    """Decode some images of a file."""
    path, places, how = batch
    decoded = []
    with Path(path).open("rb") as file:
        for offset, length in places:
            file.seek(offset)
            decoded.append(decode(file.read(length), how))
    return decoded


def decode(content: bytes, how: How) -> Decoded:
    """Decode and resize one encoded image; never raises for bad content."""
    file_sha256 = hashlib.sha256(content).hexdigest()
    # A warning is about metadata, palettes or a library's future: never a reason to leave an image out.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image, resized_to = read(content, how)
            crop = how.resize == "crop"
            resized = resized_to(central_square(image) if crop else image, how.size)
            phash = perceptual_hash(resized_to(image, how.size) if crop else resized)
        except Exception as error:  # the decoders raise nearly everything on broken files
            return Decoded(b"", "", file_sha256, 0, 0, "", _reason(error, content))
    height, width, _ = image.shape
    pixels = resized.tobytes()
    sha256 = hashlib.sha256(pixels).hexdigest()
    return Decoded(pixels, sha256, file_sha256, width, height, phash, "")


def read(content: bytes, how: How) -> tuple[np.ndarray, Resize]:
    """uint8 (H, W, 3): the first frame, upright, transparency on white; and what resizes it.

    Raises ValueError for an image of too many pixels, and whatever the libraries raise.
    """
    most = int(how.megapixels * 1e6)
    if is_plain_jpeg(content, most):
        from sslpipe.data import fast_jpeg

        with contextlib.suppress(RuntimeError):  # then Pillow, which says what is wrong
            return fast_jpeg.read(content), fast_jpeg.resize
    Image.MAX_IMAGE_PIXELS = most  # from twice as many on, Pillow opens nothing
    try:
        return _by_pillow(content, how), resize
    except Exception:
        # What Pillow refuses for its metadata may have sound pixels.
        if (bare := without_metadata(content)) is not None:
            with contextlib.suppress(Exception):
                return _by_pillow(bare, how), resize
        raise


def _by_pillow(content: bytes, how: How) -> np.ndarray:
    with opened(content) as image:
        if (pixels := image.width * image.height) > int(how.megapixels * 1e6):
            raise ValueError(_too_large(pixels))
        tags = getattr(image, "tag_v2", {})
        if DNG_VERSION in tags or (tags.get(SUBFILE_TYPE) == REDUCED and SUB_IFDS in tags):
            raise ValueError(RAW)
        values = values_of(image, content) if is_wide_colour(image) else None
        image.load()
        to_upright = turn(image)  # only now: Pillow turns a TIFF when it loads it
        upright = image if values is None else colour(values, *how.ranges.of(image))
        if to_upright is not None:
            upright = upright.transpose(to_upright)
        return np.array(rgb(upright, how.ranges))


def _too_large(pixels: int | None) -> str:
    size = f"{pixels / 1e6:.0f} megapixels" if pixels else "far too many pixels"
    return f"{size}, more than max_megapixels allows"


def is_plain_jpeg(content: bytes, most: int) -> bool:
    """Whether this is a grey or YCbCr JPEG without EXIF, of at most so many pixels.

    Walks from segment to segment up to the frame header (ITU-T T.81, annex B), in a tenth of the
    time in which Pillow opens a file.
    """
    if not content.startswith(b"\xff\xd8"):
        return False
    at = 2
    while content[at : at + 1] == b"\xff" and len(content) >= at + 10:
        marker = content[at + 1]
        if marker in FRAME_MARKERS:
            precision, height, width, components = struct.unpack_from(">BHHB", content, at + 4)
            usual = precision == 8 and components in (1, 3)
            return usual and 0 < width * height <= most
        if marker not in SEGMENT_MARKERS or content[at + 4 : at + 8] == b"Exif":
            return False
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return False


def perceptual_hash(image: np.ndarray) -> str:
    """16 hexadecimal digits: the signs of 64 low frequencies of the brightness (pHash).

    '' for uint8 (S, S, 3) of little contrast, where these are signs of noise: skies and walls would
    all look the same, and rounding would decide.
    """
    # To the side that the library's hash works on; its own filter takes three times as long.
    small = Image.fromarray(image).convert("L").resize((32, 32), Image.Resampling.BOX)
    return str(imagehash.phash(small)) if np.asarray(small).std() >= LEAST_CONTRAST else ""


def central_square(image: np.ndarray) -> np.ndarray:
    height, width, _ = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 (H, W, 3) → uint8 (size, size, 3), antialiased.

    The filter is bilinear: a triangle whose width grows with the reduction.
    """
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _reason(error: Exception, content: bytes) -> str:
    """One line that is the same each time (Pillow's messages may hold memory addresses)."""
    if isinstance(error, Image.DecompressionBombError):
        return _too_large(None)
    if isinstance(error, UnidentifiedImageError):
        kind = kind_of(content[:64])
        return "not an image of a known format" + (f": {kind}" if kind not in ("", "image") else "")
    text = re.sub(r"<[^>]* at 0x[0-9a-fA-F]+>", "the file", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text}"[:200].rstrip(": ")
