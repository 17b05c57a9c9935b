"""Reading tars, compressed or not, from wherever a file in them begins."""

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sslpipe.data.archives import BROKEN, COMPRESSIONS, decompressed
from sslpipe.data.tar_stream import forget_members
from sslpipe.errors import UserError
from sslpipe.io.files import need_space
from sslpipe.io.progress import say


def is_tar(path: Path, start: bytes) -> bool:
    """start: the file's first 300 bytes."""
    if start[257:262] == b"ustar" or start == bytes(300):  # the end of an empty one
        return True
    if not start.startswith(tuple(COMPRESSIONS)):
        return not start.startswith(b"PK") and len(start) > 262 and _is_old_tar(path)
    return True


def _is_old_tar(path: Path) -> bool:
    """Of before 1988, without a mark."""
    try:
        with tarfile.open(path, "r:") as tar:
            return tar.next() is not None
    except (tarfile.TarError, OSError, ValueError):
        return False


@contextmanager
def open_tar(path: Path, encoding: str | None) -> Iterator[tarfile.TarFile]:
    """A compressed one is unpacked into a file that vanishes: members are read in another order."""
    with path.open("rb") as file:
        packed = file.read(6).startswith(tuple(COMPRESSIONS))
    with tempfile.TemporaryFile() if packed else path.open("rb") as file:
        if packed:
            say(f"{path}: unpacking it into a temporary file")
            with decompressed(path) as content:
                while block := content.read(2**20):
                    need_space(Path(tempfile.gettempdir()), len(block), str(path))
                    file.write(block)
            file.seek(0)
        try:
            tar = tarfile.open(  # noqa: SIM115
                fileobj=file, mode="r:", encoding=encoding or "utf-8", errors="surrogateescape"
            )
        except BROKEN as error:
            raise UserError(f"not a readable tar ({error})") from None
        with tar:
            yield tar


def members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """What the tar holds, in its order. Raises UserError for a damaged one."""
    try:
        while (info := tar.next()) is not None:
            if info.size < 0:
                raise tarfile.ReadError(f"{info.name!r} of {info.size} bytes")
            forget_members(tar)
            yield info
        _require_end(tar)
    except BROKEN as error:
        raise UserError(f"not a readable tar ({error})") from None


def _require_end(tar: tarfile.TarFile) -> None:
    """tarfile takes a damaged or missing header for the end: there must be zeros, and nothing else."""
    file, offset = tar.fileobj, tar.offset
    assert file is not None
    file.seek(offset)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or any(block):
        raise tarfile.ReadError(f"bad header at byte {offset}: damaged or cut off")
    while block := file.read(2**20):
        if any(block):
            raise tarfile.ReadError(f"more behind its end at byte {offset}: two tars in one file?")


def is_text(name: str) -> bool:
    """Whether a member's name is of the encoding that the tar was opened with."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
