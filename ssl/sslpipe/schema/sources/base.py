"""What every source of images says of itself, and what those that download have in common."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator

from sslpipe.schema.types import Strict

LONGEST_NAME = 255
"""Bytes."""
IMAGENET_TERMS = "ImageNet's terms of access: non-commercial research and education"


class Origin(NamedTuple):
    """homepage: an address, or '' where there is none."""

    title: str
    homepage: str
    licence: str


class Watched(NamedTuple):
    """What a source reads on this machine: all of a folder, or some files. sampled: too much to be read
    in whole."""

    folder: Path | None = None
    files: tuple[Path, ...] = ()
    sampled: bool = False

    @property
    def is_there(self) -> bool:
        return bool(self.files) if self.folder is None else self.folder.is_dir()


class Source(Strict):
    """A kind of origin. Its reader: the function of its `kind` in sslpipe/data/sources, in the module
    named as that of this class."""

    if TYPE_CHECKING:
        kind: str  # of each kind its own constant
    ORIGIN: ClassVar[Origin]
    MAY_BE_SHOWN: ClassVar[bool] = False
    """Whether its licence lets a report hold some of its images; a folder's are the user's own."""
    MOST_IMAGES: ClassVar[int | None] = None
    """No corpus drawn from it can hold more, whatever the splits; None: not known beforehand."""
    OWN_SPLITS: ClassVar[bool] = False
    """Its splits are its own: `splits` of the data set says nothing."""
    READS_FOLDERS: ClassVar[bool] = False
    """What folders mean depends on `labelled` of the data set; its reader takes that, and notes."""
    PLACES: ClassVar[tuple[str, ...]] = ()
    """Settings that say where its files lie: moving them changes nothing."""

    @property
    def most_images(self) -> int | None:
        return self.MOST_IMAGES

    @property
    def has_labels(self) -> bool:
        return True

    def watched(self, given: Callable[[str], Path]) -> Watched | None:
        """None for a source that reads nothing on this machine. given: a path of params.yaml → where."""
        return None


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or re.search(r"\s", value) or parts.query or parts.fragment:
        raise ValueError("expected the address of a folder, such as https://example.org/sets")
    return value


Url = Annotated[str, AfterValidator(_url)]


def _local(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise ValueError("expected a path on this machine")
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in Path(value).parts):
        raise ValueError(f"holds a name of more than {LONGEST_NAME} bytes, which no file can have")
    return value


LocalPath = Annotated[str, AfterValidator(_local)]


def _checksum(value: str) -> str:
    if not re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", value):
        raise ValueError("expected md5: or sha256: and lower-case hexadecimal digits")
    return value


Checksum = Annotated[str, AfterValidator(_checksum)]


class Downloaded(Source):
    """Settings of every source whose files come from the network."""

    mirrors: list[Url] = []
    """Addresses of folders that hold the same files; tried in this order, before the origin."""
    directory: LocalPath | None = None
    """A folder that may hold the files already; those with the right checksum are used from there."""
    checksums: dict[str, Checksum] = {}
    """File name → md5:… or sha256:…, for files whose origin publishes none."""

    FILES: ClassVar[tuple[str, ...]] = ()
    """Names that `checksums` can give; those of the hub are not known beforehand."""
    PLACES: ClassVar[tuple[str, ...]] = ("directory",)

    def watched(self, given: Callable[[str], Path]) -> Watched | None:
        if self.directory is None:
            return None
        return Watched(files=files_in(given(self.directory), self.FILES))


def files_in(folder: Path, names: tuple[str, ...]) -> tuple[Path, ...]:
    """Those that are there."""
    return tuple(folder / name for name in names if (folder / name).is_file())
