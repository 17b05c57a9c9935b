"""A web server on loopback that serves bytes from memory and misbehaves as it is told."""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Fault:
    """What happens to one request: an error status, a cut connection, or a slow answer."""

    status: int = 0
    cut_after: int | None = None
    """Bytes of the answer's body after which the connection is closed."""
    pause: float = 0.0
    """Seconds before the answer begins."""
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers; a Content-Length among them takes the place of the true one."""
    page: bytes | None = None
    """Something else, sent with status 200 instead of the file."""


@dataclass
class FileServer:
    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    """Path → faults of its next requests, one each."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range header of each request, in order."""
    ranges: bool = True
    """Whether it understands Range."""


@contextmanager
def serving() -> Iterator[FileServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.requests.append((self.path, self.headers.get("Range", "")))
            waiting = server.faults[self.path]
            fault = waiting.pop(0) if waiting else Fault()
            time.sleep(fault.pause)
            content = server.files.get(self.path)
            if fault.status or content is None:
                self.send_response(fault.status or 404)
                for header in (*fault.headers, ("Content-Length", "0")):
                    self.send_header(*header)
                self.end_headers()
                return
            start = self._start() if server.ranges and fault.page is None else 0
            content = content if fault.page is None else fault.page
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            body = content[start:]
            for header in {"Content-Length": str(len(body)), **dict(fault.headers)}.items():
                if header[1]:
                    self.send_header(*header)
                else:  # without a length the end of the connection is the end of the file
                    self.close_connection = True
            self.end_headers()
            if fault.cut_after is None:
                self.wfile.write(body)
            else:
                self.wfile.write(body[: fault.cut_after])
                self.close_connection = True

        def _start(self) -> int:
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            return int(match[1]) if match else 0

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.handle_error = lambda *_: None  # clients may go away in the middle of an answer
    server = FileServer(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
