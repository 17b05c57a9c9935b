"""Reading archives (.tar, .tar.gz and so on, .zip) from front to back.

Nothing is ever extracted, so nothing inside an archive can be written anywhere. Names that would
leave the folder, links, devices and archives that grow beyond reason are refused all the same:
whoever made them meant harm, or the file is damaged.
"""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, Protocol

from sslpipe.data.tar_stream import forget_members
from sslpipe.errors import UserError
from sslpipe.io.progress import say

LARGE = 10**9
"""Bytes of an archive that takes minutes to go through, which is said."""
LARGEST_FILE = 256 * 2**20
"""Bytes of one file that is read whole; a longer one is no photograph."""
GROWTH = 100
"""An archive may hold so many times its own size: no collection of images comes near it."""
SMALL = 64 * 2**20
"""And so many bytes more, as little text can shrink to nearly nothing."""


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


Opener = Callable[[Path, Literal["rb"]], AbstractContextManager[Readable]]
COMPRESSIONS: dict[bytes, Opener] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}

BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,  # zipfile: encrypted
    NotImplementedError,  # zipfile: exotic compression
    ValueError,  # zipfile: names marked UTF-8 that are not; tarfile: numbers that are none
    LookupError,  # zipfile: an entry without a name
    struct.error,
)

Pick = Callable[[str], str | None]
"""Name in the archive → name to be known by, or None to leave the file out."""


def names(path: Path) -> list[str]:
    """Names of all files, in their order. Raises UserError for a broken or hostile archive."""
    if path.stat().st_size > LARGE:
        say(f"{path}: listing what it holds")
    return [name for name, _ in opened(path)]


def contents(path: Path, pick: Pick) -> Iterator[tuple[str, bytes]]:
    """(picked name, content) of each file that is picked, one in memory at a time.

    Raises UserError for a broken or hostile archive.
    """
    for name, file in opened(path):
        if (known_as := pick(name)) is not None:
            content = file.read(LARGEST_FILE + 1)
            if len(content) > LARGEST_FILE:
                raise UserError(f"{path}: {name} is larger than {LARGEST_FILE // 2**20} MiB")
            yield known_as, content


def read(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """The contents of these files. Raises UserError when one is not there."""
    found = dict(contents(path, lambda name: name if name in wanted else None))
    for name in wanted:
        if name not in found:
            raise UserError(f"{path}: {name} is not inside: not the expected archive")
    return found


def opened(path: Path) -> Iterator[tuple[str, Readable]]:
    """(name, open file) of each file; a file can be read until the next one is asked for."""
    with _blaming(path):
        entries = _of_zip(path) if zipfile.is_zipfile(path) else _of_tar(path)
        seen = set()
        for name, file in entries:
            if name in seen:
                raise UserError(f"{path}: {name} is inside twice")
            seen.add(name)
            yield name, _Blaming(file, path)


@contextmanager
def decompressed(path: Path) -> Iterator["_Limited"]:
    """A file without its compression, if it has one; reading it stops where it grows too much."""
    with path.open("rb") as file:
        start = file.read(6)
    opener = next((o for magic, o in COMPRESSIONS.items() if start.startswith(magic)), None)
    with path.open("rb") if opener is None else opener(path, "rb") as file:
        yield _Limited(file, path)


@contextmanager
def expected(path: Path) -> Iterator[None]:
    """Turn the failures of reading what is not as expected into one line with the file's name."""
    try:
        yield
    except (ValueError, LookupError, struct.error) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path}: its contents are not as expected ({text}): is it that file?"
        ) from None


class _Blaming(io.RawIOBase):
    """Passes reads on; a failure is the archive's."""

    def __init__(self, file: Readable, path: Path) -> None:
        self.file, self.path = file, path

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        with _blaming(self.path):
            return self.file.read(size)


class _Limited(io.RawIOBase):
    """Passes reads on until more has come out than a file of this size can honestly hold."""

    def __init__(self, file: Readable, path: Path) -> None:
        self.file, self.path = file, path
        self.left = _most(path)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        # Never more at once than the limit allows, whatever a damaged header asks for.
        with _blaming(self.path):
            content = self.file.read(self.left + 1 if size < 0 else min(size, self.left + 1))
        self.left -= len(content)
        if self.left < 0:
            raise _bomb(self.path)
        return content


def _of_tar(path: Path) -> Iterator[tuple[str, Readable]]:
    with decompressed(path) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        while (info := tar.next()) is not None:
            forget_members(tar)
            name = _safe(path, info.name)
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise UserError(f"{path}: {name} inside is a link, a device or the like: refused")
            if info.size > _most(path):
                raise _bomb(path)
            file = tar.extractfile(info)
            assert file is not None, "as it is an ordinary one"
            yield name, file


def _of_zip(path: Path) -> Iterator[tuple[str, Readable]]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > _most(path):
            raise _bomb(path)
        for entry in entries:
            name = _safe(path, entry.filename)
            if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise UserError(f"{path}: {name} inside is a link, a device or the like: refused")
            if not entry.is_dir():
                with archive.open(entry) as file:
                    yield name, file


def _safe(path: Path, name: str) -> str:
    """The name without `./`.

    Raises UserError for one that leads out of the archive's folder, holds control characters or is
    not UTF-8.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    outside = name.startswith(("/", "\\")) or ".." in parts or (parts and parts[0].endswith(":"))
    if outside or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name):
        raise UserError(f"{path}: unsafe name {name!r} inside: refused")
    return "/".join(parts)


def _most(path: Path) -> int:
    return GROWTH * path.stat().st_size + SMALL


def _bomb(path: Path) -> UserError:
    return UserError(
        f"{path}: holds more than {GROWTH} times its own size: refused as a decompression bomb"
    )


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Turn what the libraries raise for broken archives into one line with the file's name."""
    try:
        yield
    except UserError:
        raise
    except BROKEN as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: broken ({text}); delete it and download it again") from None
