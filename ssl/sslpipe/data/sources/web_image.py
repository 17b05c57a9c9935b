"""One image from somewhere on the web, where anything may answer, and in any way."""

import functools
import io
import os
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any, NamedTuple

import requests
from PIL import Image, UnidentifiedImageError
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from sslpipe import __version__
from sslpipe.data.images import FORMATS, rgb, turn

LARGEST = 32 * 2**20
"""Bytes of one image."""
PATIENCE = 6
"""An address has so many times `timeout` in all: each byte that drips in renews the timeout."""
PAUSE = 1.0
"""Seconds before the second attempt, doubled up to four times before later ones."""
REDIRECTS = 10
OK, OFFLINE, CUT_OFF = "ok", "connection failed", "cut off"
HEADERS = {
    "User-Agent": f"Mozilla/5.0 (compatible; sslpipe/{__version__})",
    "Accept": "image/*",
    "Connection": "close",  # hardly two addresses in a row share a server
}
# A decoded image may take hundreds of megabytes, and there may be a thousand connections.
decoders = threading.BoundedSemaphore(os.cpu_count() or 1)


class Answer(NamedTuple):
    """outcome: OK or why nothing is kept; content and its suffix: what is kept."""

    outcome: str
    content: bytes = b""
    suffix: str = ""


def fetch_image(url: str, shorter_side: int | None, timeout: float, retries: int) -> Answer:
    """The image at an address, made smaller where its shorter side is longer than `shorter_side`.

    retries: further attempts where a connection fails or a server is busy or broken; a timeout is
    none of these. Never raises: no address may end a run of a million.
    """
    with _Deadline(timeout * PATIENCE) as deadline:
        for attempt in range(retries + 1):
            if attempt:
                time.sleep(PAUSE * 2 ** min(attempt - 1, 4))
            outcome, content = _get(url, timeout)
            if deadline.passed:
                return Answer("too slow")
            if not re.fullmatch(f"{OFFLINE}|{CUT_OFF}|429|5..", outcome):
                break
    if outcome != OK:
        return Answer(outcome)
    try:
        with decoders:
            return _kept(content, shorter_side)
    except UnidentifiedImageError:
        return Answer("not an image")
    except Image.DecompressionBombError:
        return Answer("too many pixels")
    except Exception:  # Pillow's decoders raise nearly everything on broken files
        return Answer("broken image")


def _get(url: str, timeout: float) -> tuple[str, bytes]:
    """The outcome of one request, and the body."""
    content = bytearray()
    try:
        with (
            _session() as session,
            session.get(url, headers=HEADERS, stream=True, timeout=timeout) as answer,
        ):
            if answer.status_code != 200:
                return str(answer.status_code), b""
            for piece in answer.iter_content(2**16):
                content += piece
                if len(content) > LARGEST:
                    return "too large", b""
    except requests.Timeout:
        return "timeout", b""
    except requests.exceptions.SSLError:
        return "no trusted certificate", b""
    except requests.ConnectionError:
        return OFFLINE, b""
    except requests.exceptions.ChunkedEncodingError:
        return CUT_OFF, b""
    except requests.TooManyRedirects:
        return "too many redirects", b""
    except Exception as error:  # addresses and headers that requests and urllib3 stumble over
        return type(error).__name__, b""
    return OK, bytes(content)


def _kept(content: bytes, shorter_side: int | None) -> Answer:
    """An image as it is, or made smaller. Raises what Pillow raises unless it is whole."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        most = Image.MAX_IMAGE_PIXELS
        if most is not None and image.width * image.height > most:  # of which Pillow only warns
            raise Image.DecompressionBombError
        if shorter_side is None or min(image.size) <= shorter_side:
            assert image.format is not None, "as it was read from a file"
            suffix = {"JPEG": "jpg", "MPO": "jpg"}.get(image.format, image.format.lower())
            image.load()
            return Answer(OK, content, suffix)
        image.draft(None, (2 * shorter_side, 2 * shorter_side))  # a JPEG is decoded at ½, ¼ or ⅛
        to_upright = turn(image)
        upright = rgb(image if to_upright is None else image.transpose(to_upright))
    scale = shorter_side / min(upright.size)
    size = round(upright.width * scale), round(upright.height * scale)
    file = io.BytesIO()
    upright.resize(size, Image.Resampling.BICUBIC).save(file, format="JPEG", quality=95)
    return Answer(OK, file.getvalue(), "jpg")


# --- deadlines ------------------------------------------------------------------------------

_this_thread = threading.local()


class _Deadline:
    """Cuts the connections that this thread has opened, or opens, when the time is over.

    A timeout cannot do it: it begins anew with each byte, of headers too.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self.socket: socket.socket | None = None
        self.timer = threading.Timer(seconds, self._pass)

    def __enter__(self) -> "_Deadline":
        _this_thread.deadline = self
        self.timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()

    def watch(self, connected: socket.socket) -> None:
        self.socket = connected
        if self.passed:
            self._cut()

    def _pass(self) -> None:
        self.passed = True
        self._cut()

    def _cut(self) -> None:
        if self.socket is not None:
            with suppress(OSError):  # closed already
                self.socket.shutdown(socket.SHUT_RDWR)


class _Http(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _this_thread.deadline.watch(self.sock)


class _Https(HTTPSConnection):
    def connect(self) -> None:
        self.ssl_context = _trusting(self.ca_certs, self.ca_cert_dir)
        self.ca_certs = self.ca_cert_dir = None  # or they would be read again, 20 ms each time
        super().connect()
        _this_thread.deadline.watch(self.sock)


@functools.cache
def _trusting(file: str | None, folder: str | None) -> ssl.SSLContext:
    context = create_urllib3_context()
    context.load_verify_locations(file, folder)
    return context


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


POOLS = {"http": _HttpPool, "https": _HttpsPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        super().init_poolmanager(*args, **settings)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *args: Any, **settings: Any) -> ProxyManager:
        manager = super().proxy_manager_for(*args, **settings)
        manager.pool_classes_by_scheme = POOLS
        return manager


def _session() -> requests.Session:
    """It follows redirects to http and https only, and never reads their bodies."""
    session = requests.Session()
    session.max_redirects = REDIRECTS
    session.hooks["response"].append(_close_redirect)
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def _close_redirect(answer: requests.Response, **_: object) -> None:
    if answer.is_redirect:
        answer.close()
