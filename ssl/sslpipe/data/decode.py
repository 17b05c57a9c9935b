"""Any image file → S×S RGB pixels."""

import contextlib
import hashlib
import io
import re
import warnings
from pathlib import Path
from typing import NamedTuple

import imagehash
import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch.nn.functional import interpolate
from torchvision.io import ImageReadMode, decode_jpeg

# Pillow also opens documents and programs' inputs (EPS starts Ghostscript): those are no images.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what makes the image upright."""
ORIENTATION = 0x0112


class Decoded(NamedTuple):
    """pixels: S·S·3 bytes and their sha256; or, for an unreadable image, empty and the reason.

    width, height: of the whole image, upright, in pixels. phash: the perceptual hash of the whole
    image, 16 hexadecimal digits. file_sha256 is of the encoded bytes, readable or not.
    """

    pixels: bytes
    sha256: str
    file_sha256: str
    width: int
    height: int
    phash: str
    error: str


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
    """Decode and resize one encoded image; never raises for bad content."""
    file_sha256 = hashlib.sha256(content).hexdigest()
    try:
        image = to_rgb(content)
        resized = resized_to(image, size, resize)
        whole = resized if resize == "squash" else resized_to(image, size, "squash")
        phash = str(imagehash.phash(Image.fromarray(whole)))
    except Exception as error:  # the decoders raise nearly everything on broken files
        return Decoded(b"", "", file_sha256, 0, 0, "", _reason(error))
    height, width, _ = image.shape
    pixels = resized.tobytes()
    sha256 = hashlib.sha256(pixels).hexdigest()
    return Decoded(pixels, sha256, file_sha256, width, height, phash, "")


def to_rgb(content: bytes) -> np.ndarray:
    """uint8 (H, W, 3): the first frame, upright, transparency on white."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about metadata and palettes: nothing to be done
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.format == "JPEG" and image.mode in ("RGB", "L") and _turn(image) is None:
                with contextlib.suppress(RuntimeError):  # then Pillow, which says what is wrong
                    return _jpeg(content)
            image.load()
            turn = _turn(image)  # only now: Pillow turns a TIFF when it loads it
            upright = image if turn is None else image.transpose(turn)
            return np.array(_rgb(upright))


def resized_to(image: np.ndarray, size: int, resize: str) -> np.ndarray:
    """uint8 (H, W, 3) → uint8 (size, size, 3), antialiased.

    resize: `squash` both sides to `size`, or `crop` the central square and resize that. The filter
    is bilinear: a triangle whose width grows with the reduction, as Pillow's and torchvision's.
    """
    if resize == "crop":
        height, width, _ = image.shape
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        image = image[top : top + side, left : left + side]
    batch = torch.from_numpy(image).permute(2, 0, 1)[None]
    resized = interpolate(batch, (size, size), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).contiguous().numpy()


def _jpeg(content: bytes) -> np.ndarray:
    """The same pixels as Pillow's, in half the time. Raises RuntimeError for a broken file."""
    encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    return decode_jpeg(encoded, mode=ImageReadMode.RGB).permute(1, 2, 0).numpy()


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What makes the image upright, None if it is."""
    try:
        return TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # broken metadata do not make the pixels unreadable
        return None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image), image.mode)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Grey values of more than 8 bits → uint8 (H, W).

    Integers are taken as 16 bits, floats as 0 … 1 or else 0 … 255; values outside are stretched
    from lowest to highest.
    """
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    if not np.isfinite(low + high):
        raise ValueError("pixels that are not finite numbers")
    tops = (1.0, 255.0) if mode == "F" else (65535.0,)
    for top in tops:
        if low >= 0 and high <= top:
            return np.rint(values * (255 / top)).astype(np.uint8)
    return np.rint((values - low) * (255 / ((high - low) or 1))).astype(np.uint8)


def _reason(error: Exception) -> str:
    """One line that is the same each time (Pillow's messages may hold memory addresses)."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    text = re.sub(r"<[^>]* at 0x[0-9a-fA-F]+>", "the file", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text}"[:200].rstrip(": ")
