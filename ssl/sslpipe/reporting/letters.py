"""Letters that matplotlib's own font lacks: from the fonts of this machine, or numbers instead."""

import functools
import logging
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from sslpipe.progress import say

OWN = "DejaVu Sans"


def own_path() -> Path:
    """matplotlib's own font, which has more letters than Pillow's."""
    return Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"


def families(texts: Iterable[str]) -> list[str]:
    """matplotlib's own family, then those of this machine that have the letters it lacks."""
    found, missing = [OWN], lacking("".join(texts))
    # Of a font without a regular weight it would say so for each figure.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    while missing:
        best = max(_others(), key=lambda path: len(missing & _letters(path)), default=None)
        if best is None or not missing & _letters(best):
            break
        font_manager.fontManager.addfont(
            best
        )  # it knows those alone that were there when it first looked
        found.append(FT2Font(best).family_name)
        missing -= _letters(best)
    return found


def path_for(text: str) -> Path | None:
    """A font that has all letters of a text; None where there is none."""
    missing = lacking(text)
    if not missing:
        return own_path()
    whole = {character for character in text if not character.isspace()}
    return next((Path(path) for path in _others() if whole <= _letters(path)), None)


@functools.cache
def drawable(classes: tuple[str, ...], of: str) -> list[str]:
    """The classes' names; `class 3` for those that no font of this machine has, which is said."""
    here = set().union(*map(_letters, _others())) if lacking("".join(classes)) else set()
    unknown = [i for i, name in enumerate(classes) if lacking(name) - here]
    if unknown:
        some = ", ".join(f"class {i} is {classes[i]}" for i in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        say(
            f"{of}: no font on this machine has the letters of {len(unknown)} classes, which figures show as "
            f"numbers: {some}{more}; a font such as Noto Sans CJK would have them"
        )
    return [f"class {i}" if i in set(unknown) else name for i, name in enumerate(classes)]


def lacking(text: str) -> set[str]:
    """The letters that matplotlib's own font does not have."""
    return {c for c in set(text) if not c.isspace()} - _letters(str(own_path()))


@functools.cache
def _letters(path: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, FT2Font(path).get_charmap()))
    except (RuntimeError, OSError, ValueError):  # a damaged or bitmap font
        return frozenset()


@functools.cache
def _others() -> tuple[str, ...]:
    """This machine's fonts, in an order that does not depend on how they were found."""
    return tuple(sorted(font_manager.findSystemFonts()))
