"""Writing files so that a reader sees the old content or the whole new one, never a part."""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from sslpipe.errors import UserError
from sslpipe.io.progress import say

SPARE = 256 * 2**20
"""Bytes of a disk that are left free."""


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success flush it to disk and move it into place.

    On any exception the temporary file is removed and `path` is left as it was. An existing
    read-only file (a hard link into DVC's cache) is replaced, never opened for writing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    descriptor, temporary = _temporary(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o666 & ~_umask())  # mkstemp's only their owner can read
            temporary.replace(path)  # before the lock goes, without which it would look abandoned
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # as of a full disk
            error.filename = str(path)
        raise


def _temporary(path: Path) -> tuple[int, Path]:
    """A new file beside `path`, locked as long as this process lives."""
    while True:
        descriptor, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part"
        )
        with contextlib.suppress(OSError):  # some file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if Path(name).exists():  # else another process took it for abandoned just before
            return descriptor, Path(name)
        os.close(descriptor)


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary files of writers that were killed: their locks are gone."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with contextlib.suppress(OSError), part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def need_space(folder: Path, size: int, what: str) -> None:
    """Raises UserError when `size` more bytes would not leave the disk some room."""
    free = shutil.disk_usage(folder).free
    if size + SPARE > free:
        raise UserError(
            f"{folder}: {what} needs {in_words(size)}, but only {in_words(free)} are free there"
        )


@contextmanager
def locked(lock: Path, what: str) -> Iterator[None]:
    """One process at a time; says so when another one is at it."""
    file_lock = FileLock(lock)
    try:
        file_lock.acquire(timeout=0)
    except Timeout:
        say(f"{what}: waiting for another process that is at it")
        file_lock.acquire()
    try:
        yield
    finally:
        file_lock.release()


class Hashed:
    """A binary file that passes on what is written, and hashes it. digest: sha256 so far."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self.file.write(content)

    def tell(self) -> int:
        return self.file.tell()

    def flush(self) -> None:
        self.file.flush()


def write_bytes(path: Path, content: bytes) -> None:
    with atomic(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any, *, compact: bool = False) -> None:
    """compact: in one line, for long lists of numbers that nobody reads."""
    spacing = {"separators": (",", ":")} if compact else {"indent": 2}
    write_text(path, json.dumps(content, **spacing, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, made_by: str | None = None) -> Any:
    """Raises UserError for a damaged file, naming the command that makes it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); {_mend(path, made_by)}") from None


def write_sealed(path: Path, content: dict[str, Any], *, compact: bool = False) -> None:
    """As write_json, with a last key `sha256` by which `read_sealed` knows that nothing was changed."""
    write_json(path, content | {"sha256": digest(content)}, compact=compact)


def read_sealed(path: Path, made_by: str | None = None) -> dict[str, Any]:
    """What `write_sealed` wrote, without its seal. Raises UserError for anything else, naming the
    command that makes it."""
    content = read_json(path, made_by)
    sealed = content.pop("sha256", None) if isinstance(content, dict) else None
    if sealed is None or sealed != digest(content):
        raise changed(path, made_by)
    return content


def digest(content: Any) -> str:
    """sha256 of JSON values, however they were laid out."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def changed(path: Path, made_by: str | None = None) -> UserError:
    return UserError(
        f"{path}: not as its stage wrote it (damaged, changed, or of another version); "
        f"{_mend(path, made_by)}"
    )


def _mend(path: Path, made_by: str | None) -> str:
    if made_by:
        return f"delete it and run: {made_by}"
    return f"delete it and run its stage again, or, if git has it: git checkout {path}"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_with(path: Path, writer: Callable[[BinaryIO], object]) -> None:
    """Write through a function that takes an open binary file, such as `numpy.save`."""
    with atomic(path) as file:
        writer(file)


def in_words(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
