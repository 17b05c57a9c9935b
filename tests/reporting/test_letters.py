"""Names of any script in figures and pictures, with the fonts of a machine or without."""

import itertools
import logging
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image, ImageDraw
from synthetic import RUNS, content, read, rewrite, write_reports

from sslpipe.data.index import Entry, Index
from sslpipe.reporting import contact_sheet, letters, neighbours
from sslpipe.reporting.figures.layout import columns, cut, shown
from sslpipe.reporting.figures.style import able_to_write, look
from sslpipe.reporting.letters import drawable, fallbacks, families
from sslpipe.reporting.pictures import Letters
from sslpipe.stages import figures as stage

CAT, DOG = "猫", "犬"


def write_font(path, family, characters, *, bold=False, outlined=True):
    """Each character is a square of 700 units on the baseline, 1000 wide; as `.notdef`, none."""
    names = [".notdef", *(f"uni{ord(c):04X}" for c in characters)]
    square = TTGlyphPen(None)
    for move, *place in (
        ("moveTo", 0, 0),
        ("lineTo", 0, 700),
        ("lineTo", 700, 700),
        ("lineTo", 700, 0),
    ):
        getattr(square, move)(tuple(place))
    square.closePath()
    glyph = square.glyph() if outlined else TTGlyphPen(None).glyph()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap(dict(zip(map(ord, characters), names[1:], strict=True)))
    font.setupGlyf(
        {name: glyph if name != ".notdef" else TTGlyphPen(None).glyph() for name in names}
    )
    font.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": family, "styleName": "Bold" if bold else "Regular"})
    font.setupOS2(usWeightClass=700 if bold else 400)
    font.setupPost()
    font.save(path)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Call it to have these fonts on the machine: file → the arguments of `write_font`."""
    numbers = itertools.count()

    def only(**fonts):
        folder = tmp_path / f"fonts{next(numbers)}"
        folder.mkdir()
        for name, (family, characters, *more) in fonts.items():
            write_font(folder / f"{name}.ttf", family, characters, **dict(more))
        brought = [e for e in FONTS.ttflist if e.fname.startswith(mpl.get_data_path())]
        monkeypatch.setattr(FONTS, "ttflist", brought)
        monkeypatch.setattr(
            font_manager, "findSystemFonts", lambda: [str(path) for path in folder.iterdir()]
        )
        forget()
        return folder

    yield only
    monkeypatch.undo()
    forget()


FONTS = font_manager.fontManager


def forget():
    letters.drawable.cache_clear()
    letters._having.cache_clear()


def drawn(text):
    with look():
        figure = Figure()
        label = figure.text(0.5, 0.5, text)
        figure.canvas.draw()
    return label


def test_the_fewest_fonts_that_have_the_letters_are_used(machine):
    folder = machine(a=("One", CAT), b=("Two", CAT + DOG), c=("Three", "한"))
    assert families(["plain", "Bäume"]) == ["DejaVu Sans"]
    assert families([CAT]) == ["DejaVu Sans", "One"]
    assert families([CAT, f"x{DOG}"]) == ["DejaVu Sans", "Two"]
    assert families([CAT + DOG, "한"]) == ["DejaVu Sans", "Two", "Three"]
    assert [font.path for font in fallbacks([DOG])] == [str(folder / "b.ttf")]
    assert drawable((f"{CAT} {DOG}", "b\n"), "mine") == [f"{CAT} {DOG}", "b\ufffd"]
    with able_to_write([CAT]), warnings.catch_warnings():
        warnings.simplefilter("error")
        label = drawn(CAT)
    assert label.get_window_extent().width == pytest.approx(11.4 / 72 * 100, abs=6)


def test_no_font_is_looked_at_where_none_is_needed(monkeypatch):
    monkeypatch.delattr(letters, "installed")
    assert fallbacks(["plain", "Bäume", "кот"]) == ()


def test_a_regular_font_goes_before_a_bold_one(machine):
    folder = machine(a=("One", CAT, ("bold", True)), b=("One", CAT))
    assert fallbacks([CAT]) == (("One", str(folder / "b.ttf"), 0),)
    assert font_manager.findfont("One") == str(folder / "b.ttf")
    assert [font.family for font in letters.installed()] == ["One"]


def test_fonts_that_cannot_be_drawn_with_do_not_count(machine):
    folder = machine(a=("Empty", CAT, ("outlined", False)), b=("Last Resort", CAT), c=("One", CAT))
    (folder / "d.ttf").write_bytes(b"no font")
    (folder / "c.ttf").with_name("gone.ttf").symlink_to(folder / "nowhere")
    assert [font.family for font in fallbacks([CAT])] == ["One"]


def test_a_font_without_a_regular_weight_is_used_without_a_word(machine, caplog):
    machine(a=("One", CAT, ("bold", True)))
    with caplog.at_level(logging.WARNING), able_to_write([CAT]), warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn(CAT)
    assert not caplog.records


def test_without_such_a_font_classes_are_numbers_and_it_is_said(machine, capsys):
    machine(a=("One", CAT))
    names = ("cat", CAT, DOG, f"{CAT}{DOG}", "แมว", "🦊")
    expected = ["cat", CAT, "class 2", "class 3", "class 4", "class 5"]
    assert drawable(names, "mine") == drawable(names, "mine") == expected
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("mine: no font on this machine has the letters of 4 classes")
    assert f"class 2 is {DOG}, class 3 is {CAT}{DOG}" in said
    assert said.endswith("apt install fonts-noto-cjk fonts-noto-core fonts-symbola\n")


@pytest.mark.parametrize("known", [True, False])
def test_figures_of_a_set_with_such_names(machine, tmp_path, capsys, known):
    machine(**({"a": ("One", CAT)} if known else {}))
    made = write_reports(tmp_path, content(RUNS, ["zoo"]), images=60)
    names = ["$1_to_$5", "$5 & $10", "_a", CAT, r"\alpha_b^c", "100 %"]
    for run in RUNS:
        path = made[1].features(run, "zoo")
        rewrite(path, read(path) | {"classes": names})
    kept = {}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        as_files = stage.as_files
        patch.setattr(
            stage, "as_files", lambda f, of: {s: (f, c) for s, c in as_files(f, of=of).items()}
        )
        patch.setattr(stage, "write_bytes", lambda path, made: kept.update({path.stem: made[0]}))
        stage.run(*made)
    shown_ = [*names[:3], CAT if known else "class 3", *names[4:]]
    ticks = [label.get_text() for label in kept["confusion"].axes[0].get_yticklabels()]
    assert ticks == shown_
    texts = kept["feature_map"].axes[-1].get_legend().get_texts()
    assert [text.get_text().strip("\u200b") for text in texts] == shown_
    assert capsys.readouterr().err.count("no font on this machine") == (not known)


def test_pictures_mix_fonts_on_one_baseline(machine):
    machine(a=("One", CAT), b=("Two", DOG))
    pen_letters = Letters(20, [f"x{CAT} {DOG}"])
    width = pen_letters.width(f"x{CAT} {DOG}")
    assert width == pytest.approx(pen_letters.width("x ") + 40)
    for anchor, left in (("ls", 5), ("rs", 5 + width)):
        picture = Image.new("L", (80, 40), 255)
        pen_letters.write(ImageDraw.Draw(picture), (left, 30), f"x{CAT} {DOG}", "#000000", anchor)
        ink = np.asarray(picture) < 128
        # Two squares of 14 pixels (0.7 of the size), bottoms where that of x is.
        start = 5 + round(pen_letters.width("x"))
        second = 5 + round(pen_letters.width(f"x{CAT} "))
        for x in (start, second):
            assert ink[17:29, x + 1 : x + 13].all() and not ink[31:, x : x + 15].any()
            assert not ink[:14, x : x + 15].any()
        assert ink[:30, 5 : start - 1].any() and not ink[31:, 5:start].any()


def test_pictures_without_the_letters_show_what_they_are_given(machine):
    machine()
    images = np.zeros((2, 8, 8, 3), np.uint8)
    entries = [
        Entry(row, "train", row, name, "", "", "", 9, 9, "0" * 16, "")
        for row, name in enumerate(["a", CAT])
    ]
    names = drawable(("a", CAT), "mine")
    sheet = contact_sheet.draw(images, Index(tuple(entries), ()), names)
    strips = [
        neighbours.Strips("moco", [{"row": 0, "label": 1, "nearest": [1], "nearest_label": [0]}])
    ]
    plain = ["a", "class 1"]
    again = contact_sheet.draw(images, Index(tuple(entries), ()), plain)
    assert sheet.tobytes() == again.tobytes()
    found = [neighbours.draw(images, some, strips).tobytes() for some in (names, plain, ["a", "b"])]
    assert found[0] == found[1] != found[2]


def test_a_name_is_cut_where_it_would_be_too_wide():
    assert columns(f"a{CAT}한ä") == 6
    assert cut("a" * 20, 20) == "a" * 20 and cut("a" * 21, 20) == "a" * 19 + "…"
    assert cut(CAT * 10, 20) == CAT * 10 and cut(CAT * 11, 20) == CAT * 9 + "…"


@pytest.mark.parametrize(
    "name", ["$1_to_$5", "$5 & $10", r"\\alpha", "a^b_c", "100 %", "$\\frac{$"]
)
def test_names_are_no_mathematics(name):
    label = drawn(name)
    assert not label.get_parse_math()
    plain = drawn(name.replace("$", "S"))
    wide, narrow = (some.get_window_extent().width for some in (label, plain))
    assert abs(wide - narrow) < 0.2 * narrow + 20


def test_a_leading_underscore_does_not_leave_a_legend():
    with look(), warnings.catch_warnings():
        warnings.simplefilter("error")
        handles = [Line2D([], [], label=shown(name)) for name in ("_a", "b")]
        legend = Figure().legend(handles=handles)
    assert [text.get_text().strip("\u200b") for text in legend.get_texts()] == ["_a", "b"]
