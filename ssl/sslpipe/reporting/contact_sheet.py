"""A contact sheet: some train images of a packed set in one picture, a row for each class."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from sslpipe.data.index import Index
from sslpipe.reporting.pictures import Letters, scaled

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


def draw(images: np.ndarray, index: Index, classes: Sequence[str]) -> Image.Image:
    """images: uint8 (N, S, S, 3), those of `index`, of which some are in train. classes: their names."""
    train = np.arange(len(index))[index.split_slice("train")]
    if not index.classes:
        rows, columns = GRID
        chosen = _spread(train, rows * columns)
        lines = [chosen[start : start + columns] for start in range(0, len(chosen), columns)]
        return _sheet(images, lines, labels=[])
    labels = index.labels("train")
    shown = _spread(np.unique(labels), MOST_CLASSES)
    lines = [_spread(train[labels == label], IMAGES_PER_CLASS) for label in shown]
    return _sheet(images, lines, [classes[label] for label in shown])


def _spread(values: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the values, from evenly spread places."""
    count = min(most, len(values))
    return values[np.arange(count) * len(values) // count]


def _sheet(images: np.ndarray, lines: Sequence[np.ndarray], labels: Sequence[str]) -> Image.Image:
    """lines: the rows of `images` in each line; labels: a text at the left of each, or none."""
    letters = Letters(FONT_SIZE, labels)
    texts = [letters.cut(label, LABEL) for label in labels]
    indent = max((round(letters.width(text)) + 2 * GAP for text in texts), default=0)
    side = scaled(images[0], TILE).width
    width = indent + (side + GAP) * max(map(len, lines)) - GAP
    height = (side + GAP) * len(lines) - GAP
    sheet = Image.new("RGB", (width + 2 * MARGIN, height + 2 * MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for i, line in enumerate(lines):
        top = MARGIN + i * (side + GAP)
        for j, row in enumerate(line):
            sheet.paste(scaled(images[row], TILE), (MARGIN + indent + j * (side + GAP), top))
        if texts:
            right = MARGIN + indent - 2 * GAP
            letters.write(pen, (right, top + side // 2), texts[i], INK, "rm")
    return sheet
