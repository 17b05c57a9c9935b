"""Getting a file from the network: checksums, mirrors, retries, resume, one download at a time."""

import hashlib
import os
import random
import re
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import requests
from filelock import FileLock

from sslpipe.errors import UserError
from sslpipe.progress import ByteBar, say
from sslpipe.schema import Downloaded

ATTEMPTS = 5
"""Of each address."""
FIRST_PAUSE = 1.0
"""Seconds before the second attempt; each further pause is twice as long."""
TIMEOUT = 10.0, 60.0
"""Seconds to connect, seconds that a server may be silent."""
PIECE = 2**20
SPARE = 256 * 2**20
"""Bytes of the disk that are left free."""
ANOTHER_TRY_HELPS = {408, 425, 429, 500, 502, 503, 504}


class RemoteFile(NamedTuple):
    """checksum: `md5:…` or `sha256:…`, '' if not known; token: for the origin, '' if none."""

    name: str
    urls: tuple[str, ...]
    checksum: str = ""
    token: str = ""


class _NextUrl(Exception):
    """This address will not give the file."""


class _TryAgain(Exception):
    """The same address may give it, or the rest of it, later."""


def fetch(file: RemoteFile, source: Downloaded, downloads: Path) -> Path:
    """The file on this machine, checked: from `source.directory`, `downloads`, or the network.

    A download that was cut off goes on where it stopped, in this or a later call. Several
    processes that ask for the same file download it once. Raises UserError, with a line for each
    address that was tried, when none gives a file with the right checksum, or the disk is too full.
    """
    checksum = source.checksums.get(file.name, file.checksum)
    if source.directory is not None:
        given = Path(source.directory).expanduser() / file.name
        if given.is_file() and _is_right(given, checksum):
            return given
    downloads.mkdir(parents=True, exist_ok=True)
    target = downloads / file.name
    with FileLock(downloads / f".{file.name}.lock"):
        if target.is_file():
            if _is_right(target, checksum):
                return target
            target.unlink()
        _download(file, checksum, source.mirrors, target)
    return target


def digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def need_space(folder: Path, size: int, what: str) -> None:
    """Raises UserError when `size` more bytes would not leave the disk some room."""
    free = shutil.disk_usage(folder).free
    if size + SPARE > free:
        raise UserError(
            f"{folder}: {what} needs {_gigabytes(size)}, but only {_gigabytes(free)} are free there; "
            "make room, or let SSLPIPE_DOWNLOADS name a folder on a larger disk"
        )


def _is_right(path: Path, checksum: str) -> bool:
    if _matches(path, checksum):
        return True
    say(f"{path}: not used: its checksum is not {checksum}")
    return False


def _matches(path: Path, checksum: str) -> bool:
    if not checksum:
        return True
    algorithm, expected = checksum.split(":")
    return digest(path, algorithm) == expected


def _download(file: RemoteFile, checksum: str, mirrors: list[str], target: Path) -> None:
    part = target.with_name(f".{file.name}.part")
    failures = []
    addresses = [(f"{mirror.rstrip('/')}/{file.name}", "") for mirror in mirrors]
    addresses += [(url, file.token) for url in file.urls]
    for url, token in addresses:
        failure = _from_url(url, token, checksum, part)
        if failure is None:
            if not checksum:
                say(f"{file.name}: no checksum is known; its sha256 is {digest(part, 'sha256')}")
            part.replace(target)
            return
        failures.append(f"{url}: {failure}")
        say(f"warning: {failures[-1]}")
    raise UserError(
        f"{file.name} could not be downloaded; run it again to go on, add an address to `mirrors`, "
        "or put the file into a folder and name that as `directory`\n" + "\n".join(failures)
    )


def _from_url(url: str, token: str, checksum: str, part: Path) -> str | None:
    """Complete `part`. Returns why it could not, or None."""
    pause = FIRST_PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        resumed = part.exists() and part.stat().st_size > 0
        try:
            _one_answer(url, token, part)
        except _NextUrl as reason:
            return str(reason)
        except (_TryAgain, requests.RequestException, OSError) as reason:
            if isinstance(reason, OSError) and not isinstance(reason, requests.RequestException):
                raise  # the disk, not the network
            if attempt == ATTEMPTS:
                return f"{_first_line(reason)} ({ATTEMPTS} attempts)"
            say(f"{url}: {_first_line(reason)}; again in {pause:.0f} s")
            time.sleep(pause * random.uniform(0.5, 1))  # so that many clients do not come at once
            pause *= 2
            continue
        if _matches(part, checksum):
            return None
        part.unlink()
        # What was there before may have been of another file: then once more, from nothing.
        if not resumed:
            return f"not the expected file: its checksum is not {checksum}"
    return "broken each time"


def _one_answer(url: str, token: str, part: Path) -> None:
    """One request, for what is missing of `part`, and its answer down to the last byte."""
    done = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    # Compression on the way would make the bytes differ from the file's, and Range mean another.
    headers["Accept-Encoding"] = "identity"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:  # nothing is missing, or the part is longer than the file
            match = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
            if match and int(match[1]) == done:
                return
            part.unlink()
            raise _TryAgain("the part downloaded before is not of this file")
        if answer.status_code in ANOTHER_TRY_HELPS:
            raise _TryAgain(f"{answer.status_code} {answer.reason}")
        if answer.status_code not in (200, 206):
            raise _NextUrl(f"{answer.status_code} {answer.reason}")
        if done and answer.status_code == 200:
            done = 0  # the server sends the whole file
        elif done and not answer.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            part.unlink()
            raise _TryAgain("the server sent another part than asked for")
        length = answer.headers.get("Content-Length")
        rest = int(length) if length and length.isdigit() else None
        if rest is not None:
            need_space(part.parent, rest, part.name.removeprefix(".").removesuffix(".part"))
        _write(answer, part, done, rest)


def _write(answer: requests.Response, part: Path, done: int, rest: int | None) -> None:
    total = None if rest is None else done + rest
    with (
        part.open("r+b" if done else "wb") as file,
        ByteBar(part.name.removeprefix(".").removesuffix(".part"), total, done) as bar,
    ):
        file.seek(done)
        received = 0
        try:
            for piece in answer.iter_content(PIECE):
                file.write(piece)
                received += len(piece)
                bar.update(len(piece))
        finally:
            file.flush()
            os.fsync(file.fileno())
    if rest is not None and received < rest:
        raise _TryAgain(f"cut off after {done + received} of {total} bytes")


def _first_line(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "the connection failed or was cut off"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
