"""Getting a file from the network: checksums, mirrors, retries, resume, one download at a time."""

import hashlib
import os
import random
import re
import time
from pathlib import Path
from typing import NamedTuple

import requests
import urllib3

from sslpipe.errors import UserError
from sslpipe.io.files import locked, need_space
from sslpipe.io.progress import ByteBar, say
from sslpipe.schema.sources.base import Downloaded

ATTEMPTS = 5
"""Of each address, without a byte of progress."""
FIRST_PAUSE = 1.0
"""Seconds before the second attempt; each further pause is three times as long."""
LONGEST_PAUSE = 300.0
"""A server that asks for more (Retry-After) is asked again all the same."""
TIMEOUT = 10.0, 60.0
"""Seconds to connect, seconds that a server may be silent."""
PIECE = 2**16
"""Bytes that are lost when a connection breaks."""
LARGE = 10**9
"""Files from which on a checksum takes seconds, which is said."""
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

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


def fetch(file: RemoteFile, source: Downloaded, downloads: Path) -> Path:
    """The file on this machine, checked: from `source.directory`, `downloads`, or the network.

    A download that was cut off goes on where it stopped, in this or a later call. Several
    processes that ask for the same file download it once. Raises UserError, with a line for each
    address that was tried, when none gives a file with the right checksum, or when a folder is
    missing or too full.
    """
    checksum = source.checksums.get(file.name, file.checksum)
    target = downloads / file.name
    given = [] if source.directory is None else [given_folder(source) / file.name]
    for path in (*given, target):  # before the lock: neither folder needs to be writable
        if path.is_file() and is_right(path, checksum):
            return path
    try:
        downloads.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{downloads}: not a folder, but downloads are to lie there") from None
    if target.is_dir():
        raise UserError(f"{target}: a folder lies where a file is to be downloaded: move it away")
    with locked(downloads / f".{file.name}.lock", file.name):
        if not (target.is_file() and _matches(target, checksum)):
            _download(file, checksum, source.mirrors, target)
    return target


def given_folder(source: Downloaded) -> Path:
    """The source's `directory`. Raises UserError when it is no folder."""
    try:
        folder = Path(source.directory or "").expanduser()
    except RuntimeError:
        folder = Path(source.directory or "")
    if not source.directory or not folder.is_dir():
        raise UserError(f"source.directory: {source.directory!r}: no such folder; is it mounted?")
    return folder


def digest(path: Path, algorithm: str) -> str:
    if path.stat().st_size > LARGE:
        say(f"{path}: computing its {algorithm}")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def is_right(path: Path, checksum: str) -> bool:
    """Whether a file has its checksum, or none is known; says so if it has another."""
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
        if not checksum:  # nothing would show that two addresses have different files
            part.unlink(missing_ok=True)
    raise UserError(
        f"{file.name} could not be downloaded; run it again to go on, add an address to `mirrors`, "
        "or put the file into a folder and name that as `directory`\n" + "\n".join(failures)
    )


def _from_url(url: str, token: str, checksum: str, part: Path) -> str | None:
    """Complete `part`. Returns why it could not, or None."""
    failed = 0
    while True:
        before = _size(part)
        try:
            _one_answer(url, token, checksum, part)
        except (
            _NextUrl,
            requests.exceptions.InvalidURL,
            urllib3.exceptions.LocationParseError,
        ) as e:
            return first_line(e)
        except (_TryAgain, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            failed = 1 if _size(part) > before else failed + 1
            if failed == ATTEMPTS:
                return f"{first_line(error)} ({ATTEMPTS} attempts)"
            # drawn, so that many clients do not come back at once
            pause = FIRST_PAUSE * 3 ** (failed - 1) * random.uniform(0.5, 1)
            pause = min(max(pause, getattr(error, "pause", 0.0)), LONGEST_PAUSE)
            say(f"{url}: {first_line(error)}; again in {pause:.0f} s")
            time.sleep(pause)
            continue
        if _matches(part, checksum):
            return None
        part.unlink()
        # What was there before may have been of another file: then once more, from nothing.
        if not before:
            return f"not the expected file: its checksum is not {checksum}"


def _one_answer(url: str, token: str, checksum: str, part: Path) -> None:
    """One request, for what is missing of `part`, and its answer down to the last byte."""
    done = _size(part)
    headers = {"Range": f"bytes={done}-"} if done else {}
    # Compression on the way would make the bytes differ from the file's, and Range mean another.
    headers["Accept-Encoding"] = "identity"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        length = answer.headers.get("Content-Length", "")
        rest = int(length) if length.isdigit() else None
        if answer.status_code == 416:  # nothing is missing, or the part is longer than the file
            match = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
            if match is None or int(match[1]) == done:
                return
            part.unlink()
            raise _TryAgain("the part downloaded before is not of this file")
        if answer.status_code in ANOTHER_TRY_HELPS:
            asked = answer.headers.get("Retry-After", "")
            pause = float(asked) if asked.isdigit() else 0.0
            raise _TryAgain(f"{answer.status_code} {answer.reason}", pause)
        if answer.status_code not in (200, 206):
            raise _NextUrl(f"{answer.status_code} {answer.reason}")
        if rest is None and not checksum and not answer.raw.chunked:
            raise _NextUrl("it does not say how long the file is, and no checksum is known")
        if done and answer.status_code == 200:
            # The server sends the whole file; or a page that is in the way, for which a part that
            # took hours would be given up.
            if rest is not None and rest < done:
                raise _NextUrl(f"it has {rest} bytes, fewer than the {done} downloaded before")
            done = 0
        elif done and not answer.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            part.unlink()
            raise _TryAgain("the server sent another part than asked for")
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
            # As it comes: some servers call the compression of a .tgz one of theirs.
            for piece in answer.raw.stream(PIECE, decode_content=False):
                file.write(piece)
                received += len(piece)
                bar.update(len(piece))
        finally:
            file.flush()
            os.fsync(file.fileno())
    if rest is not None and received < rest:
        raise _TryAgain(f"cut off after {done + received} of {total} bytes")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def first_line(error: Exception) -> str:
    """What went wrong, in one line and plain words."""
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError | urllib3.exceptions.ProtocolError):
        return "the connection failed or was cut off"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
