"""Any image file → S×S RGB pixels."""

import contextlib
import hashlib
import io
import re
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import imagehash
import numpy as np
from PIL import Image, UnidentifiedImageError

from sslpipe.data.images import FORMATS, rgb, turn

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

Batch = tuple[str, list[tuple[int, int]], int, str]
"""A file that holds encoded images; (offset, length) of some; side in pixels; how to resize."""


def decode_batch(batch: Batch) -> list[Decoded]:
    """Decode some images of a file."""
    path, places, size, resize = batch
    decoded = []
    with Path(path).open("rb") as file:
        for offset, length in places:
            file.seek(offset)
            decoded.append(decode(file.read(length), size, resize))
    return decoded


def decode(content: bytes, size: int, resize: str) -> Decoded:
    """Decode and resize one encoded image; never raises for bad content.

    resize: `squash` both sides to `size`, or `crop` the central square and resize that.
    """
    file_sha256 = hashlib.sha256(content).hexdigest()
    try:
        image, resized_to = read(content)
        resized = resized_to(central_square(image) if resize == "crop" else image, size)
        whole = resized if resize == "squash" else resized_to(image, size)
        phash = perceptual_hash(whole)
    except Exception as error:  # the decoders raise nearly everything on broken files
        return Decoded(b"", "", file_sha256, 0, 0, "", _reason(error))
    height, width, _ = image.shape
    pixels = resized.tobytes()
    sha256 = hashlib.sha256(pixels).hexdigest()
    return Decoded(pixels, sha256, file_sha256, width, height, phash, "")


def read(content: bytes) -> tuple[np.ndarray, Resize]:
    """uint8 (H, W, 3): the first frame, upright, transparency on white; and what resizes it."""
    if is_plain_jpeg(content):
        from sslpipe.data import fast_jpeg

        with contextlib.suppress(RuntimeError):  # then Pillow, which says what is wrong
            return fast_jpeg.read(content), fast_jpeg.resize
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about metadata and palettes: nothing to be done
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image.load()
            to_upright = turn(image)  # only now: Pillow turns a TIFF when it loads it
            upright = image if to_upright is None else image.transpose(to_upright)
            return np.array(rgb(upright)), resize


def is_plain_jpeg(content: bytes) -> bool:
    """Whether this is a grey or YCbCr JPEG without EXIF, of a size that Pillow would decode.

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
            return usual and 0 < width * height <= Image.MAX_IMAGE_PIXELS
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


def _reason(error: Exception) -> str:
    """One line that is the same each time (Pillow's messages may hold memory addresses)."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    text = re.sub(r"<[^>]* at 0x[0-9a-fA-F]+>", "the file", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text}"[:200].rstrip(": ")
