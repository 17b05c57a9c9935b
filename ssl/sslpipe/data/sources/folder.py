"""The user's own images: a folder or a .zip of class folders.

Layouts: `<class>/<file>`, or `<split>/<class>/<file>` with the splits train, test, val (also
valid, validation), public and private; either also below one single top folder. Files in folders
below a class folder belong to the class. Images outside class folders get the class `_`.

Left out, counted and said: files without a suffix in IMAGE_SUFFIXES, links to folders, links in a
zip. Hidden files and __MACOSX are left out without a word. Links to files are read in a folder.
"""

import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sslpipe.data.raw import LOOSE
from sslpipe.errors import UserError
from sslpipe.progress import say
from sslpipe.schema.sources import Folder

IMAGE_SUFFIXES = frozenset(
    [".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)
SPLIT_FOLDERS = {
    "train": "train",
    "test": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "public": "public",
    "private": "private",
}
LARGEST_FILE = 256 * 2**20
"""Bytes of one encoded image; a longer one is no photograph, and would be held in memory."""


def images(source: Folder, root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (member name, bytes), one image in memory at a time. `path` is relative to `root`."""
    try:
        path = root / Path(source.path).expanduser()
    except RuntimeError:
        raise UserError(f"source.path: {source.path}: ~ stands for no home folder here") from None
    if path.is_dir():
        yield from _stream(source.path, *_of_folder(path))
    elif path.is_file():
        with _readable_zip(source.path, path) as file:
            yield from _stream(source.path, *_of_zip(source.path, file))
    else:
        raise UserError(
            f"source.path: {source.path}: no such folder or zip "
            f"(a path is relative to the project's root, {root.resolve()})"
        )


def members_of(names: Iterable[str]) -> dict[str, str]:
    """Member name → given name, for relative paths of images with `/` between their parts.

    Raises UserError for split folders beside other folders, a class folder `_`, two files of one
    member name, and names that a CSV or another system could not hold.
    """
    parts = {_sound(name): tuple(name.split("/")) for name in names}
    if not _has_splits(parts.values()) and _has_one_top(parts.values()):
        parts = {name: path[1:] for name, path in parts.items()}
    with_splits = _has_splits(parts.values())
    members: dict[str, str] = {}
    for name, path in parts.items():
        split = "all"
        if with_splits and len(path) > 1:
            split, path = SPLIT_FOLDERS[path[0].lower()], path[1:]
        if len(path) > 1 and path[0] == LOOSE:
            raise UserError(f"{name}: a class folder cannot be called {LOOSE}: rename it")
        class_name, file = (path[0], "/".join(path[1:])) if len(path) > 1 else (LOOSE, path[0])
        member = f"{split}/{class_name}/{file}"
        if member in members:
            raise UserError(f"{members[member]} and {name} are the same image twice: {member}")
        members[member] = name
    return members


def _sound(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{name!r} is not UTF-8: rename it") from None
    if any(ord(character) < 32 for character in name):
        raise UserError(f"{name!r} holds a control character: rename it")
    return name


def _has_splits(paths: Iterable[tuple[str, ...]]) -> bool:
    """Whether the top folders are splits. One class that is called `train` does not make it so."""
    tops = {path[0] for path in paths if len(path) > 1}
    splits = {top for top in tops if top.lower() in SPLIT_FOLDERS}
    if len(splits) > 1 and splits != tops:
        raise UserError(
            f"folders {', '.join(sorted(splits))} stand beside {', '.join(sorted(tops - splits))}: "
            "either all top folders are splits or all are classes"
        )
    return bool(tops) and splits == tops


def _has_one_top(paths: Iterable[tuple[str, ...]]) -> bool:
    """Whether everything lies below one folder that holds no image itself."""
    paths = list(paths)
    return len({path[0] for path in paths}) == 1 and all(len(path) > 2 for path in paths)


def _stream(
    where: str, names: list[str], left_out: Counter[str], read: Callable[[str], bytes]
) -> Iterator[tuple[str, bytes]]:
    try:
        members = members_of(names)
    except UserError as error:
        raise UserError(f"source.path: {where}: {error}") from None
    if left_out:
        said = ", ".join(f"{count} {what}" for what, count in sorted(left_out.items()))
        say(f"{where}: left out {said}")
    if not members:
        raise UserError(
            f"source.path: {where}: no images below it (files that end in "
            f"{' '.join(sorted(IMAGE_SUFFIXES))})"
        )
    for member in sorted(members):
        yield member, read(members[member])


def _of_folder(top: Path) -> tuple[list[str], Counter[str], Callable[[str], bytes]]:
    names: list[str] = []
    left_out: Counter[str] = Counter()

    def fail(error: OSError) -> None:
        raise UserError(f"{error.filename}: {error.strerror}")

    def read(name: str) -> bytes:
        try:
            return (top / name).read_bytes()
        except OSError as error:
            fail(error)
            raise

    for folder, subfolders, files in os.walk(top, onerror=fail):
        below = Path(folder).relative_to(top)
        links = sum((Path(folder) / name).is_symlink() for name in subfolders)
        left_out.update({"links to folders": links} if links else {})
        subfolders[:] = [name for name in subfolders if not _hidden(name)]
        for file in files:
            name = (below / file).as_posix()
            if _hidden(file):
                continue
            path = top / name
            if not path.is_file():
                left_out["things that are no files"] += 1
            elif _wanted(name, path.stat().st_size, left_out):
                names.append(name)
    return names, left_out, read


@contextmanager
def _readable_zip(where: str, path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise UserError(f"source.path: {where}: not a readable zip ({error})") from None
    with file:
        yield file


def _of_zip(
    where: str, file: zipfile.ZipFile
) -> tuple[list[str], Counter[str], Callable[[str], bytes]]:
    """Nothing is extracted; names that would leave the folder are refused all the same."""
    entries: dict[str, zipfile.ZipInfo] = {}
    left_out: Counter[str] = Counter()

    def read(name: str) -> bytes:
        try:
            return file.read(entries[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise UserError(f"source.path: {where}: broken at {name} ({error})") from None
        except (RuntimeError, NotImplementedError) as error:  # encrypted; exotic compression
            raise UserError(f"source.path: {where}: cannot read {name} ({error})") from None

    for entry in file.infolist():
        name = entry.filename.replace("\\", "/")  # some Windows tools write backslashes
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")):
            raise UserError(f"source.path: {where}: unsafe name {entry.filename!r} inside")
        if entry.is_dir() or any(map(_hidden, parts)):
            continue
        name = "/".join(parts)
        if stat.S_ISLNK(entry.external_attr >> 16):
            left_out["links"] += 1
        elif _wanted(name, entry.file_size, left_out):
            if name in entries:
                raise UserError(f"source.path: {where}: {name} is inside twice")
            entries[name] = entry
    return list(entries), left_out, read


def _hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _wanted(name: str, size: int, left_out: Counter[str]) -> bool:
    if Path(name).suffix.lower() not in IMAGE_SUFFIXES:
        left_out["files of other kinds"] += 1
        return False
    if size > LARGEST_FILE:
        left_out[f"images of more than {LARGEST_FILE // 2**20} MiB"] += 1
        return False
    return True
