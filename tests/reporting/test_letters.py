"""Names of any script in figures, with the fonts of a machine or without."""

import warnings
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sslpipe.reporting import letters
from sslpipe.reporting.figures.layout import shown
from sslpipe.reporting.figures.style import able_to_write, look

STIX = Path(mpl.get_data_path()) / "fonts/ttf/STIXSizOneSymReg.ttf"
CMEX = Path(mpl.get_data_path()) / "fonts/ttf/cmsy10.ttf"


@pytest.fixture
def fonts(monkeypatch):
    def only(*paths):
        monkeypatch.setattr(letters, "_others", lambda: tuple(map(str, paths)))
        letters.drawable.cache_clear()

    yield only
    letters.drawable.cache_clear()


def lacked_by_dejavu(font) -> str:
    return min(letters._letters(str(font)) - letters._letters(str(letters.own_path())))


def drawn(text):
    with look():
        figure = Figure()
        label = figure.text(0.5, 0.5, text)
        figure.canvas.draw()
    return label


def test_a_font_of_the_machine_is_used_where_it_has_the_letters(fonts):
    fonts(CMEX, STIX)
    character = lacked_by_dejavu(STIX)
    assert letters.families(["plain", "Bäume"]) == [letters.OWN]
    assert len(letters.families([f"a{character}"])) == 2
    assert letters.path_for(f"{character}") == STIX
    assert letters.path_for("plain") == letters.own_path()
    assert letters.drawable((f"{character}", "b"), "mine") == [f"{character}", "b"]
    with able_to_write([character]), warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn(character)


def test_without_such_a_font_classes_are_numbers_and_it_is_said(fonts, capsys):
    fonts()
    names = ("cat", "猫", "犬")
    assert letters.drawable(names, "mine") == ["cat", "class 1", "class 2"]
    said = capsys.readouterr().err
    assert "mine: no font on this machine has the letters of 2 classes" in said
    assert "class 1 is 猫, class 2 is 犬" in said
    with able_to_write(letters.drawable(names, "mine")), warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in letters.drawable(names, "mine"):
            drawn(name)


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
