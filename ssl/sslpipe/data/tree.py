"""The files below a folder, at the price of one look at each folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from sslpipe.errors import UserError


def walk(top: Path, links: list[str] | None = None) -> Iterator[tuple[str, str]]:
    """(name below `top` with `/` between its parts, path) of each file, sorted by folder.

    Links to folders are followed, but not to one that lies above; their names are added to `links`.
    Raises UserError for a folder that cannot be read.
    """
    yield from _walk(os.fspath(top), "", (_identity(os.fspath(top)),), links)


def _walk(
    folder: str, prefix: str, above: tuple[tuple[int, int], ...], links: list[str] | None
) -> Iterator[tuple[str, str]]:
    inside = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    inside.append(entry)
                else:
                    yield prefix + entry.name, entry.path
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None
    for entry in sorted(inside, key=lambda entry: entry.name):
        if entry.is_symlink() and links is not None:
            links.append(prefix + entry.name)
        identity = _identity(entry.path)
        if identity not in above:
            yield from _walk(entry.path, f"{prefix}{entry.name}/", (*above, identity), links)


def _identity(folder: str) -> tuple[int, int]:
    found = os.stat(folder)  # noqa: PTH116 of many files: a Path for each would take twice as long
    return found.st_dev, found.st_ino
