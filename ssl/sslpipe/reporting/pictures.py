"""Pictures made of images: enlarging them, letters, and files of equal bytes."""

import io

import numpy as np
from PIL import Image, ImageFont

from sslpipe.reporting.letters import own_path, path_for


def as_png(picture: Image.Image) -> bytes:
    """Without any metadata, so that the same picture gives the same bytes."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def scaled(pixels: np.ndarray, side: int) -> Image.Image:
    """uint8 (S, S, 3) → at most `side` wide: pixels as little squares, or made smaller."""
    image = Image.fromarray(np.asarray(pixels))
    if image.width > side:
        return image.resize((side, side), Image.Resampling.LANCZOS)
    side = image.width * (side // image.width)
    return image.resize((side, side), Image.Resampling.NEAREST)


def font(size: int, text: str = "") -> ImageFont.FreeTypeFont:
    """One that has the text's letters, if this machine has one; the basic layout is always there."""
    path = path_for(text) or own_path()
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def cut(text: str, letters: ImageFont.FreeTypeFont, width: float) -> str:
    """As much of it as is at most `width` pixels wide."""
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
