"""What lies in a folder, zip or tar: names of images, and a way to read one."""

import os
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sslpipe.data.images import kind_of
from sslpipe.data.sources.tars import is_tar, is_text, members, open_tar
from sslpipe.data.sources.zip_names import names_of, unclear
from sslpipe.data.suffixes import IMAGE_SUFFIXES, TABLE_SUFFIXES, UNREADABLE, suffix_of
from sslpipe.data.tree import SYSTEM_FOLDERS, Found, is_left_out, walk
from sslpipe.errors import UserError, few

LARGEST_FILE = 256 * 2**20
"""Bytes of one encoded image; a longer one is no photograph, and would be held in memory."""
SILENT = {"__macosx", "__pycache__"}
"""Folders of systems that never hold an image of the user's."""
START = 64
"""Bytes by which a content is known."""
OTHER_ARCHIVES = (b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")


@dataclass
class Collection:
    """images: name, relative with `/` between its parts → bytes. unreadable: names of images of which
    it is certain that they cannot be read → why. others: files of other kinds. tables: possible label
    tables. left_out: in words → how many; read: raises UserError."""

    read: Callable[[str], bytes]
    images: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, size: int, start: Callable[[], bytes]) -> None:
        """Sort in a file. start: gives its first bytes."""
        suffix = suffix_of(name)
        if suffix in TABLE_SUFFIXES:
            self.tables.append(name)
        elif suffix in UNREADABLE:
            self.unreadable[name] = UNREADABLE[suffix]
        elif suffix not in IMAGE_SUFFIXES and (suffix or kind_of(start()) != "image"):
            self.others.append(name)
        elif size > LARGEST_FILE:
            self.unreadable[name] = f"images of more than {LARGEST_FILE // 2**20} MiB"
        else:
            self.images[name] = size

    def others_in_words(self) -> dict[str, int]:
        """For a count of what was left out."""
        names = [*self.others, *self.tables]
        suffixes = Counter(suffix_of(name) or "no suffix" for name in names)
        some = [f"{suffix} {count}" for suffix, count in suffixes.most_common(5)]
        more = ", …" if len(suffixes) > len(some) else ""
        return {f"files of other kinds ({', '.join(some)}{more})": len(names)} if names else {}


@contextmanager
def opened(path: Path, where: str, root: Path, encoding: str | None = None) -> Iterator[Collection]:
    """where: the path as the user wrote it; encoding: of names in a zip that are not marked as UTF-8.

    Raises UserError for what is no folder, zip or tar, is damaged, or holds unsafe names.
    """
    try:
        if path.is_dir():
            yield _of_folder(path)
            return
        if not path.is_file():
            raise UserError(
                f"no such folder, zip or tar (a path is relative to the project's root, {root.resolve()})"
            )
        with path.open("rb") as file:
            start = file.read(300)
        if start.startswith(OTHER_ARCHIVES):
            raise UserError("not a folder, zip or tar: unpack it, and give the folder")
        kind = kind_of(start)
        if is_tar(path, start):
            with open_tar(path, encoding) as tar:
                yield _of_tar(tar, encoding)
        elif kind not in ("", "a zip", "an empty file"):
            kind = "an image" if kind == "image" else kind
            raise UserError(f"not a folder, zip or tar, but {kind}")
        else:
            with _open_zip(path, encoding) as file:
                yield _of_zip(file, encoding)
    except UserError as error:
        said = " ".join(str(error).splitlines())  # names inside may hold anything
        prefix = f"source.path: {where}: "
        raise UserError(said if said.startswith(prefix) else prefix + said) from None
    except OSError as error:  # a name of 300 characters, no permission, a disk that fails
        raise UserError(f"source.path: {where}: {error.strerror or error}") from None


def inside(name: str) -> str | None:
    """A name in an archive without what means nothing; None for hidden files and systems' folders.

    Raises UserError for one that leads out of the archive.
    """
    name = name.replace("\\", "/")  # some Windows tools write backslashes
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")):
        raise UserError(f"unsafe name {name!r} inside")
    return None if not parts or any(map(is_left_out, parts)) else "/".join(parts)


def _systems_folder(name: str) -> set[str]:
    """The folder that a system made and this file in an archive lies in, if it does."""
    parts = name.replace("\\", "/").split("/")[:-1]
    depth = next((depth for depth, part in enumerate(parts) if is_left_out(part)), None)
    if depth is None or parts[depth].casefold() not in SYSTEM_FOLDERS - SILENT:
        return set()
    return {"/".join(parts[: depth + 1])}


def _count(collection: Collection, words: str, names: list[str] | set[str]) -> None:
    if names:
        collection.left_out[f"{words} ({few(names)})"] += len(names)


def _of_folder(top: Path) -> Collection:
    def read(name: str) -> bytes:
        try:
            return (top / name).read_bytes()
        except OSError as error:
            raise UserError(f"{error.filename}: {error.strerror}") from None

    def start(path: str) -> Callable[[], bytes]:
        def first() -> bytes:
            with Path(path).open("rb") as file:
                return file.read(START)

        return first

    collection = Collection(read)
    found = Found([], [], [])
    broken = []
    for name, path in walk(top, found):
        try:
            about = os.stat(path)  # noqa: PTH116 of many files: a Path for each takes twice as long
        except OSError:
            broken.append(name)
            continue
        if stat.S_ISREG(about.st_mode):
            collection.add(name, about.st_size, start(path))
        else:
            collection.left_out["things that are no files"] += 1
    for words, names in (
        ("folders that systems make", found.system),
        ("links that lead back", found.loops),
        ("links to nothing", broken),
    ):
        _count(collection, words, names)
    if found.links:
        collection.notes.append(f"links to folders were followed: {few(found.links)}")
    return collection


@contextmanager
def _open_zip(path: Path, encoding: str | None) -> Iterator[zipfile.ZipFile]:
    try:
        file = zipfile.ZipFile(path)
    except OSError:
        raise
    except Exception as error:  # of many kinds for what is damaged, or marked wrongly
        reason = "names marked as UTF-8 are not" if isinstance(error, UnicodeError) else error
        raise UserError(
            f"not a readable zip ({reason}): pack it anew, or unpack it and give the folder"
        ) from None
    with file:
        yield file


def _of_zip(file: zipfile.ZipFile, encoding: str | None) -> Collection:
    entries: dict[str, zipfile.ZipInfo] = {}

    def read(name: str) -> bytes:
        try:
            return file.read(entries[name])
        except (RuntimeError, NotImplementedError) as error:  # encrypted; exotic compression
            raise UserError(f"cannot read {name} ({error})") from None
        except Exception as error:  # each compression has errors of its own
            raise UserError(f"broken at {name} ({error})") from None

    collection = Collection(read)
    systems: set[str] = set()
    links = []
    for name, entry in names_of(file, encoding):
        systems |= _systems_folder(name)
        known_as = inside(name)
        if known_as is None or name.endswith(("/", "\\")):
            continue
        if stat.S_ISLNK(entry.external_attr >> 16):
            links.append(known_as)
            continue
        if known_as in entries:
            raise UserError(f"{known_as} is inside twice")
        entries[known_as] = entry
        collection.add(known_as, entry.file_size, partial(_start_of, file, entry))
    _count(collection, "folders that systems make", systems)
    _count(collection, "links", links)
    return collection


def _start_of(file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with file.open(entry) as member:
            return member.read(START)
    except Exception:  # it is no image that could be read
        return b""


def _of_tar(tar: tarfile.TarFile, encoding: str | None) -> Collection:
    places: dict[str, tuple[int, int]] = {}
    source = tar.fileobj

    def read(name: str) -> bytes:
        offset, size = places[name]
        source.seek(offset)
        content = source.read(size)
        if len(content) < size:
            raise UserError(f"broken at {name}: it ends too early")
        return content

    def start(name: str) -> bytes:
        return read(name)[:START]

    collection = Collection(read)
    systems: set[str] = set()
    others = []
    for info in members(tar):
        if not is_text(info.name):
            raise unclear(info.name.encode(encoding or "utf-8", "surrogateescape"), encoding)
        systems |= _systems_folder(info.name)
        known_as = inside(info.name)
        if known_as is None or info.isdir():
            continue
        place: tuple[int, int] | None = (info.offset_data, info.size)
        if info.islnk():  # one more name of a file before it
            place = places.get(inside(info.linkname) or "")
        if place is None or info.issparse() or not (info.isreg() or info.islnk()):
            others.append(known_as)
            continue
        if known_as in places:  # as for tar itself, the last one counts
            collection.left_out["earlier files of the same name"] += 1
        places[known_as] = place
    _count(collection, "folders that systems make", systems)
    _count(collection, "links, devices and the like", others)
    for name, (_, size) in places.items():
        collection.add(name, size, partial(start, name))
    return collection
