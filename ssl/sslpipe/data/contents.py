"""Knowing again what a source reads on this machine, at the cost of a look at names, sizes and times.

Contents are read where these differ from the last look, whose hashes are kept: touching or copying a
file changes nothing, and a changed file is found even if its time was set back (the kernel's own, of
its last change of any kind, is compared too).
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from sslpipe.cores import usable_cores
from sslpipe.data.suffixes import may_be_image
from sslpipe.data.tree import walk
from sslpipe.errors import UserError
from sslpipe.io.files import digest, read_json, write_json
from sslpipe.io.progress import progress
from sslpipe.layout import Layout
from sslpipe.schema.data import Dataset
from sslpipe.schema.sources.base import Watched

SAMPLE = 4096
"""Bytes at either end of a file of ImageNet that are read, of 150 GB."""
MANY = 1000
"""So many files are hashed before a bar shows it."""


def watched(dataset: Dataset, layout: Layout) -> Watched | None:
    """What the source reads on this machine; None for one that reads nothing here."""
    return dataset.source.watched(layout.given)


def settings(dataset: Dataset) -> dict[str, Any]:
    """What params.yaml says of a set, but for where its files lie: moving them changes nothing."""
    said = dataset.model_dump(mode="json", exclude_unset=True)
    places = dataset.source.PLACES
    return said | {"source": {k: v for k, v in said["source"].items() if k not in places}}


def source_settings(dataset: Dataset) -> dict[str, Any]:
    """The part of `settings` that the tar of originals depends on."""
    needs_classes = {"labelled": dataset.labelled} if dataset.source.READS_FOLDERS else {}
    return settings(dataset)["source"] | needs_classes


def contents(
    dataset: Dataset, layout: Layout, name: str, *, look_again: bool = False
) -> str | None:
    """A hash of the names and contents of all that the source reads here; None if that is nothing.

    look_again: read contents even where names, sizes and times are those of the last look. What is
    not there any more counts as it was when it was last seen: what was made of it stays.
    """
    found = watched(dataset, layout)
    if found is None:
        return None
    record = layout.seen(name)
    unseen: dict[str, Any] = {"files": {}, "contents": "never seen"}
    last = read_json(record) if record.exists() else unseen
    if not found.is_there:
        return last["contents"]
    places = _places(found, dataset)
    seen = _stamps(places)
    files = last["files"]
    same = {
        known_as: files[known_as][1]
        for known_as, stamp in seen.items()
        if not look_again and known_as in files and files[known_as][0] == stamp
    }
    if len(same) == len(files) == len(seen):
        return last["contents"]
    missing = [known_as for known_as in seen if known_as not in same]
    hashed = _hashes([places[known_as] for known_as in missing], found.sampled, name)
    hashes = same | dict(zip(missing, hashed, strict=True))
    whole = digest(sorted(hashes.items()))
    files = {known_as: [seen[known_as], hashes[known_as]] for known_as in sorted(hashes)}
    with suppress(OSError):  # of a full or read-only disk: then it is looked at anew the next time
        write_json(record, {"contents": whole, "files": files}, compact=True)
    return whole


def stamps(dataset: Dataset, layout: Layout) -> dict[str, list[int]]:
    """Name → size and times, of all that the source reads on this machine."""
    found = watched(dataset, layout)
    return _stamps(_places(found, dataset)) if found is not None else {}


def _places(found: Watched, dataset: Dataset) -> dict[str, str]:
    """Name by which a file is known → where it lies; those that may be images, and the label table."""
    places = {path.name: str(path) for path in found.files}
    if found.folder is not None:
        labels = getattr(dataset.source, "labels", None)
        table = labels.table if labels else None
        places |= (
            (name.encode(errors="backslashreplace").decode(), path)
            for name, path in walk(found.folder)
            if may_be_image(name) or (table and f"/{name}".endswith(f"/{table}"))
        )
    return places


def _stamps(places: dict[str, str]) -> dict[str, list[int]]:
    """Of what is a file, or a link to one."""
    found = {}
    for known_as, path in places.items():
        try:
            about = os.stat(path)  # noqa: PTH116 of many files: a Path for each takes twice as long
        except OSError:
            continue  # which `download` tells
        if stat.S_ISREG(about.st_mode):
            found[known_as] = [about.st_size, about.st_mtime_ns, about.st_ctime_ns]
    return found


def _hashes(paths: list[str], sampled: bool, name: str) -> Iterator[str]:
    """In threads, as reading and hashing leave the interpreter to others."""
    with ThreadPoolExecutor(2 * len(usable_cores())) as pool:
        hashes = pool.map(_sample if sampled else _whole, paths)
        if len(paths) >= MANY:
            hashes = progress(hashes, what=f"{name}: looking at", unit="files", total=len(paths))
        yield from hashes


def _whole(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def _sample(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            start = file.read(SAMPLE)
            size = os.fstat(file.fileno()).st_size
            file.seek(max(len(start), size - SAMPLE))
            return hashlib.sha256(b"%d " % size + start + file.read()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
