"""The files below a folder, at the price of one look at each folder."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sslpipe.errors import UserError

SYSTEM_FOLDERS = {
    "@eadir", "#recycle", "#snapshot", "@tmp", "@recycle", "@recently-snapshot", "$recycle.bin",
    "system volume information", "lost+found", "__macosx", "__pycache__", "found.000",
    "network trash folder", "temporary items",
}  # fmt: skip
"""Folders that systems make, not users, in lower case: thumbnails and what was thrown away."""


class Found(NamedTuple):
    """links: names of links to folders, of which those in loops lead back to a folder above and were not
    followed. system: names of folders that systems made, which were left out."""

    links: list[str]
    loops: list[str]
    system: list[str]


def walk(top: Path, found: Found | None = None) -> Iterator[tuple[str, str]]:
    """(name below `top` with `/` between its parts, path) of each entry that is no folder.

    Hidden ones and folders that systems make are left out; links to folders are followed. Raises
    UserError for a folder that cannot be read.
    """
    found = found or Found([], [], [])
    real = Path(os.path.realpath(top))
    above = tuple(_identity(os.fspath(folder)) for folder in (real, *real.parents))
    yield from _walk(os.fspath(top), "", above, found)


def is_left_out(part: str) -> bool:
    """Whether a folder's or file's name is that of a hidden or a system's one."""
    return part.startswith(".") or part.casefold() in SYSTEM_FOLDERS


def _walk(
    folder: str, prefix: str, above: tuple[tuple[int, int], ...], found: Found
) -> Iterator[tuple[str, str]]:
    inside = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not _is_folder(entry):
                    yield prefix + entry.name, entry.path
                elif is_left_out(entry.name):
                    found.system.append(prefix + entry.name)
                else:
                    inside.append(entry)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None
    for entry in sorted(inside, key=lambda entry: entry.name):
        identity = _identity(entry.path)
        if entry.is_symlink():
            (found.loops if identity in above else found.links).append(prefix + entry.name)
        if identity not in above:
            yield from _walk(entry.path, f"{prefix}{entry.name}/", (*above, identity), found)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except PermissionError:
        raise
    except OSError:  # a link in a circle
        return False


def _identity(folder: str) -> tuple[int, int]:
    stat = os.stat(folder)  # noqa: PTH116 of many files: a Path for each would take twice as long
    return stat.st_dev, stat.st_ino
