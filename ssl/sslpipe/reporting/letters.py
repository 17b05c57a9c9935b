"""Letters that matplotlib's own font lacks: from the fonts of this machine, or numbers instead."""

import functools
import logging
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from sslpipe.io.progress import say
from sslpipe.reporting.markdown import code, printable

MOST_SAID = 5  # names


class Font(NamedTuple):
    """face: its place in a file of several fonts (.ttc)."""

    family: str
    path: str
    face: int = 0


# matplotlib's own, which has more letters than Pillow's.
OWN = Font("DejaVu Sans", str(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"))


def fallbacks(texts: Iterable[str]) -> tuple[Font, ...]:
    """Fonts of this machine that have the letters of `texts` that matplotlib's own lacks, those with
    most of them first; where none is lacking, no font is looked at.

    Letters that change with their neighbours (as in Hindi and Arabic) are joined by matplotlib from
    3.11 on and by Pillow where it has Raqm; else they stand side by side.
    """
    return _having(frozenset(lacking("".join(texts))))


def families(texts: Iterable[str]) -> list[str]:
    """matplotlib's own family, then those of `fallbacks`."""
    others = [font.family for font in fallbacks(texts)]
    if others:  # of one without a regular weight matplotlib would say so for each figure
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    return [OWN.family, *others]


@functools.cache
def drawable(classes: tuple[str, ...], of: str) -> list[str]:
    """The classes' names in one line each; `class 3` for those that no font of this machine has all
    letters of, which is said."""
    lost = lacking("".join(classes))
    lost = lost.difference(*(letters(font, lost) for font in fallbacks(classes)))
    unknown = [i for i, name in enumerate(classes) if lost & set(name)]
    if unknown:
        some = ", ".join(f"class {i} is {printable(classes[i])}" for i in unknown[:MOST_SAID])
        more = f" and {len(unknown) - MOST_SAID} more" if len(unknown) > MOST_SAID else ""
        say(
            f"{of}: no font on this machine has the letters of {len(unknown)} classes, which figures show as "
            f"numbers: {some}{more}; on Debian and Ubuntu they come with: apt install "
            f"{' '.join(sorted(set(map(_package, lost))))}"
        )
    return [f"class {i}" if lost & set(name) else printable(name) for i, name in enumerate(classes)]


def numbered(classes: Iterable[str]) -> list[str]:
    """For a page: the numbers of those that `drawable` gives one unless a machine has a font for them,
    in one paragraph; none where there are none."""
    numbers = [f"class {i} is {code(name)}" for i, name in enumerate(classes) if lacking(name)]
    if not numbers:
        return []
    return [
        f"Where no font has the letters of a name, pictures show a number: {', '.join(numbers)}."
    ]


def lacking(text: str) -> set[str]:
    """The letters that matplotlib's own font does not have."""
    if text.isascii():
        return set()
    own = FT2Font(OWN.path)
    return {char for char in set(printable(text)) if not own.get_char_index(ord(char))}


def letters(font: Font, among: Iterable[str]) -> set[str]:
    """Those that it has an outline of: pictures in colours, as of many emoji, cannot be drawn."""
    try:
        face = FT2Font(font.path, face_index=font.face) if font.face else FT2Font(font.path)
        return {char for char in among if _outlined(face, char)}
    except (RuntimeError, OSError):  # gone since, or a font of pixels
        return set()


def _outlined(face: FT2Font, character: str) -> bool:
    if not face.get_char_index(ord(character)):
        return False
    face.load_char(ord(character))
    return len(face.get_path()[0]) > 0


@functools.cache
def _having(missing: frozenset[str]) -> tuple[Font, ...]:
    chosen: list[Font] = []
    left = set(missing)
    found = {font: letters(font, missing) for font in installed()} if missing else {}
    while found:
        best = max(found, key=lambda font: len(found[font] & left))  # of equals the first
        if not found[best] & left:
            break
        chosen.append(best)
        left -= found[best]
    return tuple(chosen)


def installed() -> list[Font]:
    """A font of each family on this machine, upright and regular if there is such a one, by name;
    without those that matplotlib brings."""
    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    for path in sorted(font_manager.findSystemFonts()):
        if path not in known:  # it knows those alone that were there when it first looked
            with suppress(Exception):  # not a font that it can read
                manager.addfont(path)
    families: dict[str, font_manager.FontEntry] = {}
    for entry in sorted(manager.ttflist, key=_plainness):
        # A last-resort font has a box for every letter there is.
        last_resort = "lastresort" in entry.name.replace(" ", "").lower()
        if not last_resort and not Path(entry.fname).is_relative_to(mpl.get_data_path()):
            families.setdefault(entry.name, entry)
    # Before 3.11 matplotlib knew the first font of a file alone.
    return [
        Font(name, entry.fname, getattr(entry, "index", 0))
        for name, entry in sorted(families.items())
    ]


def _plainness(entry: font_manager.FontEntry) -> tuple[bool, bool, bool, int]:
    """The lowest for what matplotlib chooses of a family."""
    weight = entry.weight
    if isinstance(weight, str):
        weight = font_manager.weight_dict[weight]
    looks = (entry.style, entry.variant, entry.stretch)
    style, variant, stretch = (look != "normal" for look in looks)
    return style, variant, stretch, abs(weight - 400)


def _package(character: str) -> str:
    """Debian's, whose fonts have it."""
    if unicodedata.category(character) == "So":
        return "fonts-symbola"
    east = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH")
    is_east = unicodedata.name(character, "").startswith(east)
    return "fonts-noto-cjk" if is_east else "fonts-noto-core"
