"""What Pillow has opened → upright RGB. Imports nothing large: downloads need it too."""

import io
import re
import sys
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFile, PngImagePlugin

from sslpipe.data.ranges import SIGNIFICANT_BITS, Ranges

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
PHOTOMETRIC = 262
"""TIFF's tag PhotometricInterpretation, which Pillow heeds for 8 bits alone."""


RAW = "a camera's raw file: convert it to JPEG first"
STARTS = (
    (rb"\xff\xd8\xff", "image"),
    (rb"\x89PNG\r\n\x1a\n", "image"),
    (rb"GIF8[79]a", "image"),
    (rb"BM.{4}\0{4}", "image"),
    (rb"II\*\0\x10\0\0\0CR|IIU\0|II(?:RO|RS)|MMOR|FUJIFILMCCD-RAW|FOVb|.{4}ftypcrx ", RAW),
    (rb"II[*+]\0|MM\0[*+]", "image"),
    (rb"RIFF.{4}WEBP", "image"),
    (rb"P[1-6]\s", "image"),
    (rb".{4}ftyp(?:.{4}){1,12}?avi[fs]", "image"),
    (rb".{4}ftyp(?:hei[cxms]|hev[cmx]|mif1|msf1)", "HEIC: convert it to JPEG first"),
    (rb".{4}ftyp", "a film"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL: convert it to JPEG first"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000: convert it to JPEG first"),
    (rb"version https://git-lfs", "a Git LFS pointer, not the image: git lfs pull"),
    (rb"/annex/objects/", "a git-annex pointer, not the image: git annex get"),
    (rb"(?i)(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body)", "a web page"),
    (rb"(?i)(?:\xef\xbb\xbf)?\s*<(?:\?xml|svg)", "XML or SVG"),
    (rb"%PDF", "a PDF document"),
    (rb"PK\x03\x04", "a zip"),
    (rb"\0+\Z", "nothing but zeros: a broken copy"),
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


WIDE_COLOUR = re.compile(r"RGB[AX]?;16[BLN]")
"""Pillow's words for 16-bit colour, of which it keeps the upper byte."""


def is_wide(image: ImageFile.ImageFile) -> bool:
    """Whether its pixels are values of more than 8 bits; of colour, only before it is loaded."""
    return image.mode.startswith("I") or image.mode == "F" or is_wide_colour(image)


def is_wide_colour(image: ImageFile.ImageFile) -> bool:
    return bool(_wide_colour(image))


def opened(content: bytes) -> ImageFile.ImageFile:
    """Not loaded yet. Raises whatever Pillow raises."""
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    image.info[SIGNIFICANT_BITS] = significant_bits(content)
    return image


def values_of(image: ImageFile.ImageFile, content: bytes) -> np.ndarray:
    """Of a wide image that is not loaded yet: (H, W), or (H, W, 3 or 4), of which the last is alpha."""
    if not (order := _wide_colour(image)):
        return np.asarray(image)
    # In the other order of bytes, Pillow keeps the lower one.
    little = order[-1] == "L" or (order[-1] == "N" and sys.byteorder == "little")
    other = order[:-1] + ("B" if little else "L")
    with opened(content) as again:
        again.tile = [
            tile._replace(
                args=other if isinstance(tile.args, str) else (other, *(tile.args or ())[1:])
            )
            for tile in again.tile
        ]
        lower = np.asarray(again)
    return np.asarray(image).astype(np.uint16) << 8 | lower


def colour(values: np.ndarray, low: float, high: float) -> Image.Image:
    """16-bit colour (H, W, 3 or 4) → RGB or RGBA."""
    parts = [_eight_bits(values[..., :3], low, high), _eight_bits(values[..., 3:], 0, 65535)]
    return Image.fromarray(np.concatenate(parts, axis=-1))


def _wide_colour(image: ImageFile.ImageFile) -> str:
    """Pillow's word for the order of bytes; '' but for 16-bit colour that is not loaded yet."""
    args = image.tile[0].args if image.tile else ""
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) and WIDE_COLOUR.fullmatch(first) else ""


PNG = b"\x89PNG\r\n\x1a\n"
XMP = b"XML:com.adobe.xmp\0\0"
"""An uncompressed text of a PNG that may tell its orientation begins so."""


def significant_bits(content: bytes) -> int:
    """The most that a PNG's sBIT tells of a colour; 0 where none is told."""
    for kind, data, _ in _chunks(content):
        if kind == b"sBIT":
            return max(data[:3] if len(data) > 2 else data[:1], default=0)
        if kind == b"IDAT":
            break
    return 0


def without_metadata(content: bytes) -> bytes | None:
    """A PNG of nothing but its pixels and their orientation; None for another format."""
    kept = [
        whole
        for kind, data, whole in _chunks(content)
        if kind[:1].isupper() or kind in (b"tRNS", b"eXIf") or data.startswith(XMP)
    ]
    return PNG + b"".join(kept) if kept else None


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Kind, data, and both with length and checksum, of a PNG's chunks; the last may be cut."""
    at = len(PNG) if content.startswith(PNG) else len(content)
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        yield content[at + 4 : at + 8], content[at + 8 : end - 4], content[at:end]
        at = end


def rgb(image: Image.Image, ranges: Ranges = Ranges()) -> Image.Image:  # noqa: B008 it cannot change
    """Transparency becomes white. Raises ValueError for pixels that are not finite numbers."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = _eight_bits(np.asarray(image), *ranges.of(image))
        white_is_zero = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0
        return Image.fromarray(255 - grey if white_is_zero else grey).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _eight_bits(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8 of the same shape: low becomes 0, high 255; what lies outside is cut off."""
    values = values.astype(np.float64)
    if not np.isfinite(values.sum()):
        raise ValueError("pixels that are not finite numbers")
    if low == 0:
        return np.rint(np.clip(values * (255 / high), 0, 255)).astype(np.uint8)
    return np.rint(np.clip((values - low) * (255 / ((high - low) or 1)), 0, 255)).astype(np.uint8)
