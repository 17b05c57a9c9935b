"""A contact sheet: some train images of a packed set in one picture, a row for each class."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sslpipe.data.index import Index
from sslpipe.reporting.markdown import printable

MOST_CLASSES = 20
IMAGES_PER_CLASS = 8
GRID = (8, 12)
"""Rows and columns of an unlabelled set's sheet, at most."""
TILE = 80  # pixels, the longest side of an image on the sheet; so are all that follow
GAP = 4
MARGIN = 12
LABEL = 200  # a longer class name is cut
FONT_SIZE = 15
INK = "#333333"


def draw(images: np.ndarray, index: Index) -> Image.Image:
    """images: uint8 (N, S, S, 3), those of `index`, of which some are in train."""
    train = np.arange(len(index))[index.split_slice("train")]
    if not index.classes:
        rows, columns = GRID
        chosen = _spread(train, rows * columns)
        lines = [chosen[start : start + columns] for start in range(0, len(chosen), columns)]
        return _sheet(images, lines, labels=[])
    labels = index.labels("train")
    shown = _spread(np.unique(labels), MOST_CLASSES)
    lines = [_spread(train[labels == label], IMAGES_PER_CLASS) for label in shown]
    return _sheet(images, lines, [index.classes[label] for label in shown])


def as_png(sheet: Image.Image) -> bytes:
    """Without any metadata, so that the same sheet gives the same bytes."""
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def _spread(values: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the values, from evenly spread places."""
    count = min(most, len(values))
    return values[np.arange(count) * len(values) // count]


def _sheet(images: np.ndarray, lines: Sequence[np.ndarray], labels: Sequence[str]) -> Image.Image:
    """lines: the rows of `images` in each line; labels: a text at the left of each, or none."""
    font = _font()
    texts = [_cut(printable(label), font) for label in labels]
    indent = max((round(font.getlength(text)) + 2 * GAP for text in texts), default=0)
    side = _scaled(images[0]).width
    width = indent + (side + GAP) * max(map(len, lines)) - GAP
    height = (side + GAP) * len(lines) - GAP
    sheet = Image.new("RGB", (width + 2 * MARGIN, height + 2 * MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for i, line in enumerate(lines):
        top = MARGIN + i * (side + GAP)
        for j, row in enumerate(line):
            sheet.paste(_scaled(images[row]), (MARGIN + indent + j * (side + GAP), top))
        if texts:
            right = MARGIN + indent - 2 * GAP
            pen.text((right, top + side // 2), texts[i], INK, font, anchor="rm")
    return sheet


def _scaled(pixels: np.ndarray) -> Image.Image:
    """uint8 (S, S, 3) → at most TILE wide: pixels as little squares, or made smaller."""
    image = Image.fromarray(np.asarray(pixels))
    if image.width > TILE:
        return image.resize((TILE, TILE), Image.Resampling.LANCZOS)
    side = image.width * (TILE // image.width)
    return image.resize((side, side), Image.Resampling.NEAREST)


def _font() -> ImageFont.FreeTypeFont:
    """matplotlib's own, which has more letters than Pillow's; the basic layout is always there."""
    path = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    return ImageFont.truetype(path, FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)


def _cut(text: str, font: ImageFont.FreeTypeFont) -> str:
    if font.getlength(text) <= LABEL:
        return text
    while font.getlength(text + "…") > LABEL:
        text = text[:-1]
    return text + "…"
