"""sslpipe contact_sheet: packed images → a picture of some of them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_of import stamp
from packed_sets import write_packed
from sslpipe.data.index import Entry
from sslpipe.errors import UserError
from sslpipe.layout import Layout
from sslpipe.params import load
from sslpipe.reporting.contact_sheet import GAP, MARGIN
from sslpipe.schema.data import Dataset
from sslpipe.stages import contact_sheet

PARAMS = load(Path(__file__).parents[2] / "presets/default.yaml")
TILE = 80


def params(*sheets):
    mine = Dataset(source={"kind": "folder", "path": "mine"})
    datasets = {**PARAMS.datasets, "mine": mine}
    return PARAMS.model_copy(update={"datasets": datasets, "contact_sheets": list(sheets)})


def colour(row: int) -> tuple[int, int, int]:
    """Another one for each row, none of them grey as the letters are."""
    return (row % 256, 100 + row // 256, 255)


def put(layout, classes: dict[str, int], side: int = 16, held_out: int = 3, pixels=None):
    """Train images, each of one colour, then as many held-out ones of each class."""
    entries = []
    for split, counts in (("train", classes), ("val", dict.fromkeys(classes, held_out))):
        for name in sorted(counts):
            for _ in range(counts[name]):
                row, digest = len(entries), f"{len(entries):064x}"
                label = sorted(classes).index(name) if name else -1
                entries.append(
                    Entry(row, split, label, name, f"{row}", digest, digest, 9, 9, "0" * 16, "")
                )
    images = np.empty((len(entries), side, side, 3), np.uint8)
    images[:] = np.array([colour(row) for row in range(len(entries))])[:, None, None]
    write_packed(layout, "mine", entries, images if pixels is None else pixels)
    stamp(params(), layout)
    return layout


def drawn(layout, side=TILE):
    """The rows of the images on the sheet, line by line, and the space left of them."""
    contact_sheet.run(params("mine"), layout, "mine")
    sheet = Image.open(io.BytesIO((layout.root / "reports/data/mine.png").read_bytes()))
    assert sheet.mode == "RGB"
    pixels = np.asarray(sheet).astype(int)
    coloured = (pixels != pixels[..., :1]).any(axis=-1)
    left = int(np.flatnonzero(coloured.any(axis=0))[0])
    lines = []
    for top in range(MARGIN, sheet.height - MARGIN, side + GAP):
        lines.append([])
        for start in range(left, sheet.width - MARGIN, side + GAP):
            tile = pixels[top : top + side, start : start + side]
            assert (tile == tile[0, 0]).all()
            if (tile != 255).any():
                red, green, _ = tile[0, 0]
                lines[-1].append(int(red + 256 * (green - 100)))
    return lines, left


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


def test_a_line_for_each_class_of_evenly_spread_train_images(layout):
    lines, left = drawn(put(layout, {"cat": 3, "dog": 8, "emu": 16}))
    assert lines == [[0, 1, 2], list(range(3, 11)), list(range(11, 27, 2))]
    assert left > MARGIN + 10  # the names


def test_of_many_classes_twenty_are_shown(layout):
    lines, _ = drawn(put(layout, {f"{i:02}": 1 for i in range(60)}))
    assert lines == [[row] for row in range(0, 60, 3)]


def test_a_class_without_train_images_has_no_line(layout):
    lines, _ = drawn(put(layout, {"a": 2, "b": 0, "c": 1}))
    assert lines == [[0, 1], [2]]


@pytest.mark.parametrize("images, step", [(5, 1), (96, 1), (192, 2)])
def test_an_unlabelled_set_is_a_grid(layout, images, step):
    lines, left = drawn(put(layout, {"": images}))
    shown = list(range(0, images, step))
    assert lines == [shown[start : start + 12] for start in range(0, len(shown), 12)]
    assert left == MARGIN


@pytest.mark.parametrize("side, tile", [(8, 80), (32, 64), (64, 64), (80, 80), (100, 80)])
def test_pixels_are_enlarged_whole_and_large_images_reduced(layout, side, tile):
    put(layout, {"": 2}, side)
    assert drawn(layout, tile)[0] == [[0, 1]]
    sheet = Image.open(layout.contact_sheet("mine"))
    assert sheet.size == (2 * MARGIN + 2 * tile + GAP, 2 * MARGIN + tile)


def test_enlarged_pixels_are_squares(layout):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    put(layout, {"": 1}, pixels=np.stack([pixels] * 4))
    contact_sheet.run(params("mine"), layout, "mine")
    tile = np.asarray(Image.open(layout.contact_sheet("mine")))[MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert (tile == pixels.repeat(5, axis=0).repeat(5, axis=1)).all()


def test_a_class_name_is_one_line(layout):
    drawn(put(layout, {"a": 1, "two\nlines": 1}))
    before = layout.contact_sheet("mine").read_bytes()
    drawn(put(layout, {"a": 1, "two\ufffdlines": 1}))
    assert layout.contact_sheet("mine").read_bytes() == before


def test_a_long_class_name_is_cut(layout):
    _, short = drawn(put(layout, {"a": 1, "b": 1}))
    _, long = drawn(put(layout, {"a" * 300: 1, "b": 1}))
    assert short < long < MARGIN + 220


def test_the_name_stands_left_of_its_line(layout):
    _, left = drawn(put(layout, {"WWWWW": 1, "i": 1}))
    pixels = np.asarray(Image.open(layout.contact_sheet("mine")).convert("L"))
    ink = [(pixels[top : top + TILE, :left] < 128).sum() for top in (MARGIN, MARGIN + TILE + GAP)]
    assert ink[0] > 4 * ink[1] > 0


def test_the_bytes_are_the_same_each_time_and_say_nothing_else(layout):
    put(layout, {"a": 9, "b": 2})
    drawn(layout)
    before = layout.contact_sheet("mine").read_bytes()
    drawn(layout)
    assert layout.contact_sheet("mine").read_bytes() == before
    assert Image.open(io.BytesIO(before)).info == {}


def test_only_of_sets_that_the_parameters_name(layout, capsys):
    put(layout, {"a": 1, "b": 1})
    with pytest.raises(UserError, match=r"^mine: contact_sheets in params.yaml does not name"):
        contact_sheet.run(params(), layout, "mine")
    assert not layout.contact_sheet("mine").exists()
    contact_sheet.run(params("mine"), layout, "mine")
    assert capsys.readouterr().err == f"mine: example images in {layout.contact_sheet('mine')}\n"


def test_what_is_missing_is_one_line(layout):
    with pytest.raises(UserError, match=r"no data set named 'nope'.*mine"):
        contact_sheet.run(params("mine"), layout, "nope")
    with pytest.raises(UserError, match=r"mine\.csv: missing.*sslpipe subset mine"):
        contact_sheet.run(params("mine"), layout, "mine")
    put(layout, {"": 0})
    with pytest.raises(UserError, match="mine: there are no train images to show"):
        contact_sheet.run(params("mine"), layout, "mine")
