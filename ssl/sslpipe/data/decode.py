"""Any image file → S×S RGB pixels."""

import contextlib
import hashlib
import io
import re
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about metadata and palettes: nothing to be done
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.format == "JPEG" and image.mode in ("RGB", "L") and turn(image) is None:
                from sslpipe.data import fast_jpeg

                with contextlib.suppress(RuntimeError):  # then Pillow, which says what is wrong
                    return fast_jpeg.read(content), fast_jpeg.resize
            image.load()
            to_upright = turn(image)  # only now: Pillow turns a TIFF when it loads it
            upright = image if to_upright is None else image.transpose(to_upright)
            return np.array(rgb(upright)), resize


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
