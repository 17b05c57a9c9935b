"""Strips of images: some test images, each with its nearest training images before and after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from sslpipe.errors import UserError
from sslpipe.reporting.few_runs import of_set
from sslpipe.reporting.pictures import Letters, made_of, scaled
from sslpipe.reporting.results import Results

TILE = 64  # pixels, the longest side of an image in the picture; so are all that follow
FRAME = 4
GAP = 6
BETWEEN = 18  # one image's strips and the next one's
MARGIN = 12
LABEL = 190  # longer texts are cut
FONT_SIZE = 13
BADGE = 15
INK, PALE = "#333333", "#777777"
SAME, OTHER = "#029e73", "#d55e00"  # green and red that colour-blind readers tell apart


@dataclass(frozen=True)
class Strips:
    """Of one encoder: `Results.features`' neighbours, and what to call it."""

    name: str
    neighbours: Sequence[Mapping[str, Any]]


def draw(images: np.ndarray, classes: Sequence[str], encoders: Sequence[Strips]) -> Image.Image:
    """A row of images for each query and encoder: the query, then its nearest training images,
    nearest first, with a green frame and a tick where these are of its class, else a red one and a cross.

    images: uint8 (N, S, S, 3), the packed set. Queries are those of the first encoder; another one's
    strip of the same query stands below. Raises UserError for rows that the set does not have.
    """
    if not encoders:
        return _words("No encoder has been scored on this data set.")
    _check(encoders, len(images))
    others = [{strip["row"]: strip for strip in each.neighbours} for each in encoders]
    queries = list(encoders[0].neighbours)
    longest = max((len(s["nearest"]) for e in encoders for s in e.neighbours), default=0)
    step = TILE + 2 * FRAME + GAP
    left = MARGIN + LABEL + GAP
    height = sum(sum(q["row"] in each for each in others) * step + BETWEEN for q in queries)
    sheet = Image.new(
        "RGB", (left + step * (longest + 1) + GAP + MARGIN, height + 2 * MARGIN - BETWEEN), "white"
    )
    pen, letters, top = ImageDraw.Draw(sheet), Letters(FONT_SIZE, classes), MARGIN
    for query in queries:
        text = letters.cut(classes[query["label"]], LABEL)
        first = True
        for encoder, strips in zip(encoders, others, strict=True):
            strip = strips.get(query["row"])
            if strip is None:
                continue
            middle = top + FRAME + TILE // 2
            if first:
                letters.write(pen, (MARGIN, middle), text, INK, "lb")
                sheet.paste(scaled(images[query["row"]], TILE), (left + FRAME, top + FRAME))
                first = False
            letters.write(pen, (MARGIN, middle + 2), letters.cut(encoder.name, LABEL), PALE, "lt")
            for i, (row, label) in enumerate(
                zip(strip["nearest"], strip["nearest_label"], strict=True), start=1
            ):
                corner = (left + GAP + i * step, top)
                _framed(sheet, pen, images[row], corner, same=label == query["label"])
            top += step
        top += BETWEEN
    return sheet


def _check(encoders: Sequence[Strips], number: int) -> None:
    for encoder in encoders:
        rows = [r for strip in encoder.neighbours for r in (strip["row"], *strip["nearest"])]
        if rows and not 0 <= min(rows) <= max(rows) < number:
            raise UserError(
                f"{encoder.name}: its neighbours are of another packing of this data set, which has "
                f"{number} images; embed and evaluate again"
            )


def _framed(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, pixels: np.ndarray, corner: tuple[int, int], *,
    same: bool,
) -> None:  # fmt: skip
    x, y = corner
    image = scaled(pixels, TILE)
    colour = SAME if same else OTHER
    right, bottom = x + image.width + 2 * FRAME, y + image.height + 2 * FRAME
    pen.rectangle((x, y, right - 1, bottom - 1), fill=colour)
    sheet.paste(image, (x + FRAME, y + FRAME))
    left, upper = right - BADGE, bottom - BADGE
    pen.rectangle((left, upper, right - 1, bottom - 1), fill=colour)
    strokes = [[(3, 8), (6, 11), (12, 4)]] if same else [[(4, 4), (11, 11)], [(4, 11), (11, 4)]]
    for stroke in strokes:
        pen.line([(left + dx, upper + dy) for dx, dy in stroke], fill="white", width=2)


def _words(text: str) -> Image.Image:
    sheet = Image.new("RGB", (2 * MARGIN + 460, 2 * MARGIN + 24), "white")
    ImageDraw.Draw(sheet).text((MARGIN, MARGIN), text, INK, Letters(FONT_SIZE).own)
    return sheet


def stamp(results: Results) -> str:
    """What the strips of a set are made of; results: of the set alone."""
    return results.stamp("neighbours")


def are_of(results: Results, dataset: str) -> bool:
    """Whether the picture that lies there is of these results."""
    picture = results.layout.figure(f"neighbours_{dataset}", "png")
    return made_of(picture) == stamp(of_set(results, dataset))
