"""Which grey values of more than 8 bits become black and white: the file's own word, or the whole set's."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

MIN_SAMPLE, MAX_SAMPLE = 340, 341
"""TIFF's tags SMinSampleValue and SMaxSampleValue."""
BITS = (8, 10, 12, 14, 16)
"""Of what cameras, X-ray and microscopes write into 16."""
NEARLY_ALL = 0.99
"""Share of a set's float values; what lies beyond is what sharpening or resampling leaves."""
MARGIN = 0.01

Span = tuple[float, float]


class Ranges(NamedTuple):
    """(low, high) for all images, where the user has given it; else for the set's images of whole numbers
    and of floats that do not tell theirs."""

    given: Span | None = None
    integers: Span = (0.0, 65535.0)
    floats: Span = (0.0, 1.0)

    def of(self, image: Image.Image) -> Span:
        if self.given is not None:
            return self.given
        return declared(image) or (self.floats if image.mode == "F" else self.integers)


class Seen(NamedTuple):
    """What one image's values are. within: shares that lie in 0 … 1 and in 0 … 255, with a margin."""

    is_float: bool
    low: float
    high: float
    within: tuple[float, float]
    pixels: int


def declared(image: Image.Image) -> Span | None:
    """The range that a file tells of itself."""
    tags = getattr(image, "tag_v2", {})
    low, high = (_single(tags.get(tag)) for tag in (MIN_SAMPLE, MAX_SAMPLE))
    if high is not None and high > (low or 0):
        return float(low or 0), float(high)
    return None


def look(image: Image.Image) -> Seen | None:
    """None for an image that tells its range. Raises ValueError for values that are not finite."""
    if declared(image) is not None:
        return None
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        raise ValueError("pixels that are not finite numbers")
    within = tuple(
        float(((values >= -MARGIN * top) & (values <= (1 + MARGIN) * top)).mean())
        for top in (1, 255)
    )
    return Seen(image.mode == "F", low, high, within, values.size)


def of_set(seen: Iterable[Seen], given: Span | None) -> tuple[Ranges, list[str]]:
    """The ranges of a set, and in words what was decided."""
    ranges, words = Ranges(given), []
    for is_float in (False, True):
        some = [one for one in seen if one.is_float == is_float]
        if not some:
            continue
        span, why = (_floats if is_float else _integers)(some)
        ranges = ranges._replace(**{"floats" if is_float else "integers": span})
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
    pixels = sum(one.pixels for one in seen)
    for i, top in enumerate((1.0, 255.0)):
        share = sum(one.within[i] * one.pixels for one in seen) / pixels
        if share >= NEARLY_ALL:
            return (0.0, top), f"where {100 * share:.4g} % of the set's values lie"
    low, high = (float(np.median([getattr(one, end) for one in seen])) for end in ("low", "high"))
    return (low, high), "the median of its images' lowest and highest"


def _single(value: object) -> float | None:
    """A tag may have a value for each channel."""
    first = value[0] if isinstance(value, tuple) and value else value
    return float(first) if isinstance(first, int | float) else None
