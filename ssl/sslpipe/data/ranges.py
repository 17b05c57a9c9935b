"""Which grey values of more than 8 bits become black and white: the file's own word, or the whole set's."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

MIN_SAMPLE, MAX_SAMPLE, BITS_PER_SAMPLE = 340, 341, 258
"""TIFF's tags SMinSampleValue, SMaxSampleValue and BitsPerSample."""
SIGNIFICANT_BITS = "significant_bits"
"""In Pillow's `info` of an image: what a PNG's sBIT tells, 0 for nothing."""
BITS = (8, 10, 12, 14, 16)
"""Of what cameras, X-ray and microscopes write into 16."""
ODD = 1000
"""One pixel of an image in so many may lie beyond its range at each end: hot and dead ones."""
ODD_IMAGES = 20
"""One image of floats in so many may reach beyond the set's range at each end."""
MARGIN = 0.1
"""So far beyond 0 … 1, as a share of it, do sharpening and resampling reach."""

Span = tuple[float, float]


class Ranges(NamedTuple):
    """(low, high) for all images, where the user has given it; else for the set's images of whole numbers
    and of floats that do not tell theirs.

    by_bits: a PNG's significant bits are its range. Not so where values are higher, as the PNG
    specification (11.3.2.8) wants them scaled to all bits.
    """

    given: Span | None = None
    integers: Span = (0.0, 65535.0)
    floats: Span = (0.0, 1.0)
    by_bits: bool = True

    def of(self, image: Image.Image) -> Span:
        if self.given is not None:
            return self.given
        if self.by_bits and (bits := image.info.get(SIGNIFICANT_BITS)):
            return 0.0, 2.0**bits - 1
        return declared(image) or (self.floats if image.mode == "F" else self.integers)


class Seen(NamedTuple):
    """Between what one image's values lie, but for the odd ones. bits: a PNG's significant ones, or 0."""

    is_float: bool
    low: float
    high: float
    bits: int


def declared(image: Image.Image) -> Span | None:
    """The range that a file tells of itself. Pillow scales a PGM's values by the highest that it tells."""
    if image.format == "PPM" and image.mode == "I":
        return 0.0, 65535.0
    tags = getattr(image, "tag_v2", {})
    low, high = (_single(tags.get(tag)) for tag in (MIN_SAMPLE, MAX_SAMPLE))
    if high is not None and high > (low or 0):
        return float(low or 0), float(high)
    bits = _single(tags.get(BITS_PER_SAMPLE))
    return (0.0, 2.0**bits - 1) if bits and 8 < bits < 16 else None


def look(image: Image.Image, values: np.ndarray) -> Seen | None:
    """None for an image that tells its range. Raises ValueError for values that are not finite."""
    if declared(image) is not None:
        return None
    if not np.isfinite(float(values.min()) + float(values.max())):
        raise ValueError("pixels that are not finite numbers")
    odd = values.size // ODD
    ordered = np.partition(values, (odd, values.size - 1 - odd), axis=None)
    low, high = float(ordered[odd]), float(ordered[-1 - odd])
    return Seen(image.mode == "F", low, high, image.info.get(SIGNIFICANT_BITS, 0))


def of_set(seen: Iterable[Seen], given: Span | None) -> tuple[Ranges, list[str]]:
    """The ranges of a set, and in words what was decided."""
    seen, words = list(seen), []
    by_bits = [one for one in seen if one.bits]
    ranges = Ranges(given, by_bits=all(one.high < 2**one.bits for one in by_bits))
    if by_bits and ranges.by_bits and given is None:
        seen = [one for one in seen if not one.bits]
        words.append(f"{len(by_bits)} images have as many bits as their files tell")
    for is_float in (False, True):
        some = [one for one in seen if one.is_float == is_float]
        if not some:
            continue
        span, why = (_floats if is_float else _integers)(some)
        ranges = ranges._replace(floats=span) if is_float else ranges._replace(integers=span)
        if given is not None:
            span, why = given, "as set"
        what = "floats" if is_float else "whole numbers of more than 8 bits"
        words.append(
            f"{len(some)} images of {what}: {span[0]:g} … {span[1]:g} become 0 … 255 ({why})"
        )
    return ranges, words


def _integers(seen: list[Seen]) -> tuple[Span, str]:
    low, high = min(one.low for one in seen), max(one.high for one in seen)
    if low >= 0:
        for bits in BITS:
            if high < 2**bits:
                return (0.0, float(2**bits - 1)), f"{bits} bits, as the set's highest is {high:g}"
    return (low, high), "the set's lowest and highest"


def _floats(seen: list[Seen]) -> tuple[Span, str]:
    odd = len(seen) // ODD_IMAGES
    low = sorted(one.low for one in seen)[odd]
    high = sorted(one.high for one in seen)[-1 - odd]
    # A set that uses less than a sixteenth of 0 … 255 would be black.
    for top, least in ((1.0, 0.0), (255.0, 255 / 16)):
        if -MARGIN * top <= low and least <= high <= (1 + MARGIN) * top:
            return (0.0, top), f"as the set's values lie between {low:.4g} and {high:.4g}"
    return (low, high), "the set's lowest and highest"


def _single(value: object) -> float | None:
    """A tag may have a value for each channel."""
    first = value[0] if isinstance(value, tuple) and value else value
    return float(first) if isinstance(first, int | float) else None
