"""Pictures made of images: enlarging them, letters, and files of equal bytes."""

import io
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from sslpipe.reporting.letters import OWN, fallbacks, lacking, letters

MADE_OF = "made_of"


def as_png(picture: Image.Image, *, of: str = "") -> bytes:
    """Without any metadata but `of`, what it was made of: the same picture gives the same bytes."""
    file, info = io.BytesIO(), PngImagePlugin.PngInfo()
    if of:
        info.add_text(MADE_OF, of)
    picture.save(file, "PNG", optimize=True, pnginfo=info)
    return file.getvalue()


def made_of(path: Path) -> str | None:
    """What `as_png` was told of a picture; None where there is none, or it says nothing."""
    try:
        with Image.open(path) as picture:
            return picture.info.get(MADE_OF)
    except OSError:
        return None


def scaled(pixels: np.ndarray, side: int) -> Image.Image:
    """uint8 (S, S, 3) → at most `side` wide: pixels as little squares, or made smaller."""
    image = Image.fromarray(np.asarray(pixels))
    if image.width > side:
        return image.resize((side, side), Image.Resampling.LANCZOS)
    side = image.width * (side // image.width)
    return image.resize((side, side), Image.Resampling.NEAREST)


class Letters:
    """Letters of one size, of matplotlib's own font, and of others for what it lacks of `texts`."""

    def __init__(self, size: int, texts: Sequence[str] = ()) -> None:
        basic = ImageFont.Layout.BASIC  # always there, and enough for this font
        self.own = ImageFont.truetype(OWN.path, size, layout_engine=basic)
        self.others: dict[str, ImageFont.FreeTypeFont] = {}
        left = set(lacking("".join(texts)))
        for font in fallbacks(texts):
            loaded = ImageFont.truetype(font.path, size, index=font.face)
            self.others |= dict.fromkeys(letters(font, left), loaded)
            left -= self.others.keys()

    def width(self, text: str) -> float:
        """In pixels."""
        return sum(font.getlength(part) for font, part in self._parts(text))

    def cut(self, text: str, width: float) -> str:
        """As much of it as is at most `width` pixels wide."""
        if self.width(text) <= width:
            return text
        while text and self.width(text + "…") > width:
            text = text[:-1]
        return text + "…"

    def write(
        self, pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, ink: str, anchor: str
    ) -> None:
        """anchor: Pillow's, of which letter of `place` is at."""
        parts = list(self._parts(text))
        if len(parts) == 1:
            ((font, _),) = parts
            pen.text(place, text, ink, font, anchor)
            return
        # All on the baseline that the own font's letters would have.
        (x, y), tall = place, "Ág"
        y += self.own.getbbox(tall, anchor=anchor)[1] - self.own.getbbox(tall, anchor="ls")[1]
        x -= {"l": 0, "r": self.width(text)}[anchor[0]]
        for font, part in parts:
            pen.text((x, y), part, ink, font, "ls")
            x += font.getlength(part)

    def _parts(self, text: str) -> Iterator[tuple[ImageFont.FreeTypeFont, str]]:
        """Stretches of the text with the font of each."""
        for font, characters in groupby(text, lambda c: self.others.get(c, self.own)):
            yield font, "".join(characters)
