"""What Pillow has opened → upright RGB. Imports nothing large: downloads need it too."""

import re

import numpy as np
from PIL import Image, PngImagePlugin

from sslpipe.data.ranges import Ranges

# Pillow also opens documents and programs' inputs (EPS starts Ghostscript): those are no images.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF")

# A profile or text of more than a megabyte does not make pixels unsound.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 256 * 2**20

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


STARTS = (
    (rb"\xff\xd8\xff", "image"),
    (rb"\x89PNG\r\n\x1a\n", "image"),
    (rb"GIF8[79]a", "image"),
    (rb"BM.{4}\0{4}", "image"),
    (rb"II[*+]\0|MM\0[*+]", "image"),
    (rb"RIFF.{4}WEBP", "image"),
    (rb"P[1-6]\s", "image"),
    (rb".{4}ftyp(?:.{4}){1,12}?avi[fs]", "image"),
    (rb".{4}ftyp(?:hei[cxms]|hev[cmx]|mif1|msf1)", "HEIC"),
    (rb".{4}ftyp", "a film"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
    (rb"\0\0\0\x0cjP  ", "JPEG 2000"),
    (rb"version https://git-lfs", "a Git LFS pointer, not the image: git lfs pull"),
    (rb"(?i)\s*<(?:!doctype html|html)", "a web page"),
    (rb"(?i)\s*<(?:\?xml|svg)", "XML or SVG"),
    (rb"%PDF", "a PDF document"),
    (rb"PK\x03\x04", "a zip"),
    (rb"\Z", "an empty file"),
)
"""First bytes → what they are, as a regular expression; from the formats' specifications."""


def kind_of(start: bytes) -> str:
    """What a content is, by its first 64 bytes: `image` for one that may be read, a plain word for
    something else that is well known, '' for what is not known."""
    return next((kind for pattern, kind in STARTS if re.match(pattern, start, re.DOTALL)), "")


def turn(image: Image.Image) -> Image.Transpose | None:
    """What makes the image upright, None if it is."""
    try:
        return TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # broken metadata do not make the pixels unreadable
        return None


def is_wide(image: Image.Image) -> bool:
    """Whether its pixels are grey values of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def rgb(image: Image.Image, ranges: Ranges = Ranges()) -> Image.Image:  # noqa: B008 it cannot change
    """Transparency becomes white. Raises ValueError for pixels that are not finite numbers."""
    if is_wide(image):
        low, high = ranges.of(image)
        return Image.fromarray(_eight_bits(np.asarray(image), low, high)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _eight_bits(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Grey values → uint8 (H, W): low becomes 0, high 255; what lies outside is cut off."""
    values = values.astype(np.float64)
    if not np.isfinite(values.sum()):
        raise ValueError("pixels that are not finite numbers")
    if low == 0:
        return np.rint(np.clip(values * (255 / high), 0, 255)).astype(np.uint8)
    return np.rint(np.clip((values - low) * (255 / ((high - low) or 1)), 0, 255)).astype(np.uint8)
