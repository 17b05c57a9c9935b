"""The tar between download and subset: encoded images as `<split>/<class>/<file>`.

The split is `all` when the source has none, `unlabelled` for images without labels beside labelled ones.
`_` stands for the class of images that lie outside
class folders. A file's name may hold further slashes. The last member, `sha256`, holds the checksum of
all bytes before it.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sslpipe.data.splits import UNLABELLED
from sslpipe.data.tar_stream import forget_members
from sslpipe.errors import UserError
from sslpipe.io.files import Hashed, atomic

GIVEN_SPLITS = ("all", "train", "test", "val", "public", "private", UNLABELLED)
LOOSE = "_"
SEAL = "sha256"


class Member(NamedTuple):
    """One image in the tar: its name and where its bytes lie."""

    name: str
    offset: int
    size: int

    @property
    def split(self) -> str:
        return self.name.split("/", 1)[0]

    @property
    def class_name(self) -> str:
        return class_of(self.name)


def class_of(member: str) -> str:
    return member.split("/", 2)[1]


def write(path: Path, members: Iterable[tuple[str, bytes]]) -> int:
    """Write (name, bytes) pairs, each name once; return how many there were.

    Their order, names, contents and nothing else decide the tar's bytes: times, owners and modes are fixed.
    Raises UserError when there are none.
    """
    names = set()
    with atomic(path) as file:
        hashed = Hashed(file)
        tar = tarfile.open(  # type: ignore[call-overload] # noqa: SIM115 a tar to write is not read
            fileobj=hashed, mode="w", format=tarfile.PAX_FORMAT
        )
        for name, content in members:
            _check(name)
            if name in names:
                raise UserError(f"two images are called {name}")
            names.add(name)
            _add(tar, name, content)
        if not names:
            raise UserError("no images found")
        _add(tar, SEAL, hashed.digest.hexdigest().encode())
        tar.close()
    return len(names)


def read(path: Path) -> list[Member]:
    """List the members. Raises UserError for a file that is not as `write` made it."""
    try:
        with tarfile.open(path, "r:") as tar:
            members = list(_members(tar))
        seal = members.pop() if members else Member("", 0, 0)
        with path.open("rb") as file:
            file.seek(seal.offset)
            if seal.name != SEAL or file.read(seal.size) != _checksum(file, seal.offset):
                raise ValueError("its checksum does not fit")
        for member in members:
            _check(member.name)
    except (tarfile.TarError, ValueError) as error:
        raise UserError(
            f"{path}: broken ({error}); delete it and run: sslpipe download {path.stem}"
        ) from None
    return members


def seal(path: Path) -> str:
    """The checksum that a tar carries, on which `read` has looked. Only zeros follow it."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * tarfile.RECORDSIZE))
        return file.read().rstrip(b"\0")[-64:].decode("ascii", errors="replace")


def _checksum(file: BinaryIO, offset: int) -> bytes:
    """Of what lies before a member whose content is at `offset`."""
    digest, left = hashlib.sha256(), offset - tarfile.BLOCKSIZE  # its header
    file.seek(0)
    while left > 0 and (block := file.read(min(left, 2**20))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest().encode()


def _members(tar: tarfile.TarFile) -> Iterator[Member]:
    while (info := tar.next()) is not None:
        if not info.isreg():
            raise ValueError(f"{info.name!r} is not an ordinary file")
        yield Member(info.name, info.offset_data, info.size)
        forget_members(tar)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)  # mtime, uid and gid are 0, owner names empty
    info.size = len(content)
    info.mode = 0o644
    tar.addfile(info, io.BytesIO(content))
    forget_members(tar)


def _check(name: str) -> None:
    split, _, rest = name.partition("/")
    class_name, _, file = rest.partition("/")
    if split not in GIVEN_SPLITS or not class_name or not file:
        raise ValueError(f"{name!r} is not <split>/<class>/<file>")
    if any(ord(character) < 32 for character in name):
        raise ValueError(f"{name!r} holds a control character")
