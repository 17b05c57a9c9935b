"""A first look at a set's images of more than 8 bits, whose range only the whole set tells."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from sslpipe.data.choose import Choice
from sslpipe.data.images import is_wide, opened, values_of
from sslpipe.data.ranges import Ranges, Seen, look, of_set
from sslpipe.io.progress import progress

START = 26
"""Bytes of a PNG file up to its bit depth and kind of colour (PNG specification, 11.2.2)."""


def ranges_of(
    tar: Path, choices: Sequence[Choice], given: Sequence[float] | None, what: str
) -> tuple[Ranges, list[str]]:
    """The ranges of the chosen images of a tar, and in words what was decided."""
    with tar.open("rb") as file:

        def content(choice: Choice, size: int) -> bytes:
            file.seek(choice.member.offset)
            return file.read(min(size, choice.member.size))

        maybe = [choice for choice in choices if may_be_wide(content(choice, START))]
        shown = progress(maybe, what=f"{what}: values", unit="images") if maybe else []
        seen = [_seen(content(choice, choice.member.size)) for choice in shown]
    span = None if given is None else (given[0], given[1])
    return of_set([one for one in seen if one is not None], span)


def may_be_wide(start: bytes) -> bool:
    """Going by a file's first bytes."""
    if start.startswith(b"\x89PNG"):
        return start[24:26] in (b"\x10\x00", b"\x10\x02", b"\x10\x06")  # 16 bits: grey, RGB, RGBA
    return start.startswith((b"II", b"MM", b"P2", b"P5", b"Pf"))


def _seen(content: bytes) -> Seen | None:
    """None for what needs no range, or cannot be read, which is told when it is packed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with opened(content) as image:
                return look(image, values_of(image, content)) if is_wide(image) else None
        except Exception:
            return None
