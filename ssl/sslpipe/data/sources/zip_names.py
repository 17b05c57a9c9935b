"""The names in a zip, which may be written in any code page.

PKWARE's specification knows code page 437 and, marked, UTF-8 (APPNOTE 4.4.4, bit 11). Tools of Windows
write the system's own code page instead, those of Linux and macOS UTF-8 without the mark.
"""

import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from itertools import pairwise

from sslpipe.errors import UserError

MARKED = 0x800
UNICODE_PATH = 0x7075
GUESSES = ("cp932", "gb18030", "big5", "euc_kr", "cp1251", "cp866", "cp1252")


def names_of(file: zipfile.ZipFile, encoding: str | None) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """(name, entry) of each entry; encoding: of names that are not marked.

    Raises UserError where names need an encoding and none, or a wrong one, is given.
    """
    raw = {id(entry): _raw(entry) for entry in file.infolist()}
    unmarked = [name for name in raw.values() if isinstance(name, bytes)]
    if encoding is None:
        encoding = _utf8_or_refuse(unmarked)
    for entry in file.infolist():
        name = raw[id(entry)]
        if isinstance(name, str):
            yield name, entry
            continue
        try:
            yield name.decode(encoding), entry
        except UnicodeDecodeError:
            raise unclear(name, encoding) from None


def _raw(entry: zipfile.ZipInfo) -> str | bytes:
    """The name where it is certain, else its bytes."""
    if entry.flag_bits & MARKED or entry.orig_filename.isascii():
        return entry.orig_filename
    written = entry.orig_filename.encode("cp437")
    return _unicode_path(entry.extra, written) or written


def _unicode_path(extra: bytes, written: bytes) -> str | None:
    """The name in Info-ZIP's extra field, if it is of this name (APPNOTE 4.6.9)."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        content, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind != UNICODE_PATH or len(content) < 6 or content[0] != 1:
            continue
        if struct.unpack_from("<I", content, 1)[0] == zlib.crc32(written):
            return content[5:].decode("utf-8", errors="surrogateescape")
    return None


def _utf8_or_refuse(names: list[bytes]) -> str:
    odd = next((name for name in names if _decoded(name, "utf-8") is None), None)
    if odd is None:
        return "utf-8"
    raise unclear(odd, None)


def unclear(name: bytes, encoding: str | None) -> UserError:
    """That this name in a zip or tar cannot be read without, or with this, encoding."""
    if encoding is not None:
        return UserError(f"source.encoding: {encoding}: {name!r} is not in it")
    texts = {e: text for e in GUESSES if (text := _decoded(name, e)) is not None}
    likely = sorted(texts, key=lambda e: _odd(texts[e])) or list(GUESSES)
    readings = [f"{texts[e]} in {e}" for e in likely if e in texts]
    return UserError(
        f"its names are not marked as UTF-8; one would be {', '.join(readings[:5])}: say which with "
        f"source.encoding, such as encoding: {likely[0]}"
    )


def _odd(text: str) -> int:
    """How many characters speak against a reading: symbols, half-width forms, and Latin letters that
    touch those of other scripts."""
    names = [unicodedata.name(c, "") if c.isalpha() else "" for c in text]
    touching = sum(
        one.startswith("LATIN") != other.startswith("LATIN")
        for one, other in pairwise(names)
        if one and other
    )
    half_width = sum(name.startswith("HALFWIDTH") for name in names)
    return touching + half_width + sum(unicodedata.category(c)[0] in "SC" for c in text)


def _decoded(name: bytes, encoding: str) -> str | None:
    try:
        text = name.decode(encoding)
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
