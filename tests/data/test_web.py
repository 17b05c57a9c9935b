"""Conceptual 12M against servers on loopback that behave as the web does."""

import csv
import datetime
import hashlib
import io
import ipaddress
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from file_server import Fault, serving
from PIL import Image

from sslpipe.data import raw
from sslpipe.data.sources import web, web_image
from sslpipe.data.sources.web import cc12m
from sslpipe.data.splits import share
from sslpipe.errors import UserError
from sslpipe.schema.sources.web import CC12M

LISTED = 60
ALWAYS = 100


def photo(number, size=(40, 30), kind="JPEG", **settings):
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **settings)
    return file.getvalue()


def listed(server, paths):
    server.files["/cc12m.tsv"] = "".join(f"{server.url}{path}\ttext\n" for path in paths).encode()


def settings(server, **values):
    given = {"images": 20, "connections": 8, "timeout": 5.0, "mirrors": [server.url]}
    return CC12M(**(given | values))


def asked(server):
    return [path for path, _ in server.requests if path != "/cc12m.tsv"]


def folder(root):
    (only,) = (root / "data/downloads/cc12m").iterdir()
    return only


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def outcomes(root):
    """Path at the server → what became of it."""
    rows = [row for file in sorted(folder(root).glob("0*.csv")) for row in table(file)]
    return {"/" + row["url"].split("/", 3)[3]: row["outcome"] for row in rows}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(web, "SHARD", 10)
    monkeypatch.setattr(web_image, "PAUSE", 0.01)
    # so that no connection waits, as at a server for many
    monkeypatch.setattr("socketserver.TCPServer.request_queue_size", 128)


@pytest.fixture
def album(server):
    """60 photographs, all of which arrive."""
    server.files.update({f"/{number}.jpg": photo(number) for number in range(LISTED)})
    listed(server, list(server.files))
    return server


@contextmanager
def tarpit(prefix, drop=b"x", pause=0.02, certificate=None):
    """A server that answers everything with `prefix` and then, for ever, with `drop`s."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    served = []

    def serve(connection):
        with suppress(OSError), connection:
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            served.append(connection.recv(10_000))
            connection.sendall(prefix)
            while drop and not stop.wait(pause):
                connection.sendall(drop)

    def accept():
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        scheme = "http" if context is None else "https"
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/image.jpg", served
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def fetched(url, shorter_side=None, timeout=5.0, retries=0):
    return web_image.fetch_image(url, shorter_side, timeout, retries)


# --- whole runs -----------------------------------------------------------------------------


def test_the_first_images_in_the_seeds_order(album, tmp_path, capsys):
    images = dict(cc12m(settings(album, seed=3), tmp_path))
    urls = [f"{album.url}/{number}.jpg" for number in range(LISTED)]
    first = sorted(urls, key=lambda url: share(url, "cc12m:3:"))[:20]
    names = [f"all/_/{hashlib.sha256(url.encode()).hexdigest()[:32]}.jpg" for url in first]
    assert list(images) == names
    assert images == {
        name: album.files[url.removeprefix(album.url)]
        for name, url in zip(names, first, strict=True)
    }
    assert [(row["name"], row["url"]) for row in table(folder(tmp_path) / "arrived.csv")] == [
        *zip(names, first, strict=True)
    ]
    assert "20 images of 20 addresses" in capsys.readouterr().err
    assert raw.write(tmp_path / "raw.tar", images.items()) == 20


def test_same_bytes_in_the_same_order_whatever_the_connections(album, tmp_path):
    album.faults.update({f"/{number}.jpg": [Fault(pause=0.1)] for number in range(0, LISTED, 7)})
    runs = [
        list(
            cc12m(settings(album, images=35, connections=connections), tmp_path / str(connections))
        )
        for connections in (1, 5, 32)
    ]
    assert len(runs[0]) == 35 and runs[0] == runs[1] == runs[2]
    tars = [(folder(tmp_path / str(n)) / "00001.tar").read_bytes() for n in (1, 5, 32)]
    assert tars[0] == tars[1] == tars[2]


def test_another_seed_chooses_others(album, tmp_path):
    runs = [dict(cc12m(settings(album, seed=seed), tmp_path)) for seed in (0, 1)]
    assert len(runs[0]) == len(runs[1]) == 20 and runs[0].keys() != runs[1].keys()


def test_each_seed_and_size_keeps_its_shards(album, tmp_path):
    sources = [
        settings(album, images=LISTED, seed=seed, shorter_side=side)
        for seed, side in ((0, 256), (1, 256), (0, None))
    ]
    runs = [list(cc12m(source, tmp_path)) for source in sources]
    album.requests.clear()
    assert [list(cc12m(source, tmp_path)) for source in sources] == runs
    assert asked(album) == []


def test_shards_of_another_length_are_not_used(album, tmp_path, monkeypatch):
    first = list(cc12m(settings(album), tmp_path))
    monkeypatch.setattr(web, "SHARD", 13)
    images = list(cc12m(settings(album, images=LISTED), tmp_path))
    assert images[:20] == first and len(images) == LISTED


def test_one_shard_ahead(album, tmp_path, monkeypatch):
    def drawn(*arguments):
        for address in addresses(*arguments):
            taken.append(address)
            yield address

    taken, addresses = [], web._addresses
    monkeypatch.setattr(web, "_addresses", drawn)
    assert len(list(cc12m(settings(album, images=5), tmp_path))) == 5
    assert len(taken) == 20


def test_more_images_add_to_fewer(album, tmp_path):
    few = list(cc12m(settings(album, images=13), tmp_path))
    finished = list(outcomes(tmp_path))
    many = list(cc12m(settings(album, images=37), tmp_path))
    assert many[:13] == few and len(many) == 37
    assert len(finished) == 20 and {asked(album).count(path) for path in finished} == {1}


def test_the_list_in_narrow_bands(album, tmp_path, monkeypatch):
    path = tmp_path / "cc12m.tsv"
    path.write_bytes(album.files["/cc12m.tsv"])
    whole = list(web._addresses(path, 0))
    monkeypatch.setattr(web, "BAND", 7)
    assert list(web._addresses(path, 0)) == whole and len(whole) == LISTED


def test_as_many_at_once_as_connections(album, tmp_path):
    for path in album.files:
        album.faults[path] = [] if path == "/cc12m.tsv" else [Fault(pause=0.5)]
    start = time.monotonic()
    list(cc12m(settings(album, images=LISTED, connections=30), tmp_path))
    assert time.monotonic() - start < 10  # one after another 30


def test_broken_and_repeated_lines(album, tmp_path, capsys):
    lines = album.files["/cc12m.tsv"].splitlines(keepends=True)
    broken = [b"\n", b"no tab\n", b"ftp://a/b.jpg\ttext\n", b"http://a/\xff.jpg\ttext\n", b"\t\n"]
    album.files["/cc12m.tsv"] = b"".join([*broken, *lines, *lines[:10], b"http://a/cut-o"])
    assert len(dict(cc12m(settings(album, images=LISTED), tmp_path))) == LISTED
    assert len(asked(album)) == LISTED
    assert "70 addresses; 6 broken lines left out" in capsys.readouterr().err


def test_a_list_in_a_folder(album, tmp_path):
    (tmp_path / "cc12m.tsv").write_bytes(album.files.pop("/cc12m.tsv"))
    source = settings(album, mirrors=[], directory=str(tmp_path))
    assert len(list(cc12m(source, tmp_path))) == 20


def test_the_list_is_cut_off_and_goes_on(album, tmp_path, monkeypatch):
    monkeypatch.setattr("sslpipe.data.fetch.time.sleep", lambda _: None)
    caption = b"caption " * 4096
    album.files["/cc12m.tsv"] = album.files["/cc12m.tsv"].replace(b"text", caption)
    album.faults["/cc12m.tsv"] = [Fault(cut_after=3 * 2**19)]
    assert len(list(cc12m(settings(album), tmp_path))) == 20
    lists = [(path, part) for path, part in album.requests if path == "/cc12m.tsv"]
    assert lists == [("/cc12m.tsv", ""), ("/cc12m.tsv", f"bytes={3 * 2**19}-")]


def test_a_page_instead_of_the_list(server, tmp_path):
    server.files["/cc12m.tsv"] = b"<html>\nSign in\n</html>"
    with pytest.raises(UserError, match="no lines of an address"):
        list(cc12m(settings(server), tmp_path))


def test_the_list_is_too_short(album, tmp_path, capsys):
    assert len(list(cc12m(settings(album, images=100), tmp_path))) == LISTED
    assert "warning: cc12m: the list ends: 60 of 100 images arrived" in capsys.readouterr().err


def test_copies_are_kept_once(album, tmp_path, capsys):
    album.files.update({f"/{number}.jpg": photo(0) for number in range(0, LISTED, 3)})
    images = list(cc12m(settings(album, images=LISTED), tmp_path))
    assert len(images) == len({content for _, content in images}) == 41
    assert len(table(folder(tmp_path) / "arrived.csv")) == 41
    assert "19 × copy of another" in capsys.readouterr().err


def test_exactly_so_many_when_some_fail(album, tmp_path):
    for number in range(0, LISTED, 2):
        del album.files[f"/{number}.jpg"]
    assert len(dict(cc12m(settings(album, images=23), tmp_path))) == 23


def test_no_room(album, tmp_path, monkeypatch):
    def disk(free):
        monkeypatch.setattr("sslpipe.io.files.SPARE", 0)
        usage = shutil._ntuple_diskusage(0, 0, free)
        monkeypatch.setattr("sslpipe.io.files.shutil.disk_usage", lambda _: usage)

    disk(20 * 25_000 - 1)
    with pytest.raises(UserError, match=r"20 images, estimated at 25 kB each\) needs 0\.5 MB"):
        list(cc12m(settings(album), tmp_path))
    with pytest.raises(UserError, match="estimated at 150 kB each"):
        list(cc12m(settings(album, shorter_side=None), tmp_path))
    disk(20 * 25_000)
    assert len(list(cc12m(settings(album), tmp_path))) == 20
    disk(20 * 25_000 - 5_000)  # what is there already needs no more room
    assert len(list(cc12m(settings(album), tmp_path))) == 20


# --- what goes wrong on the web -------------------------------------------------------------


def test_each_kind_of_failure_is_named(album, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens
        refused = f"http://127.0.0.1:{unused.getsockname()[1]}/refused.jpg"
        whole = photo(1)
        album.files.update(
            {
                "/once.jpg": photo(100),
                "/cut.jpg": photo(101),
                "/page.jpg": b"<html>gone</html>",
                "/empty.jpg": b"",
                "/truncated.jpg": whole[: len(whole) // 2],
                "/slow.jpg": photo(102),
                "/busy.jpg": photo(103),
                "/broken.jpg": photo(104),
                "/program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            }
        )
        album.faults.update(
            {
                "/once.jpg": [Fault(status=500)],
                "/cut.jpg": [Fault(cut_after=99)],
                "/busy.jpg": [Fault(status=429)] * ALWAYS,
                "/broken.jpg": [Fault(status=503)] * ALWAYS,
                "/slow.jpg": [Fault(pause=1.5)] * ALWAYS,
            }
        )
        paths = [path for path in album.files if path not in ("/cc12m.tsv", "/0.jpg")]
        listed(album, [*paths, "/gone.jpg"])  # 70: one address alone may be a shard that is barren
        album.files["/cc12m.tsv"] += f"{refused}\ttext\n".encode()
        list(cc12m(settings(album, images=1000, timeout=1.0), tmp_path))
    found = {path: outcome for path, outcome in outcomes(tmp_path).items() if path[1].isalpha()}
    assert found == {
        "/once.jpg": "ok",
        "/cut.jpg": "ok",
        "/page.jpg": "not an image",
        "/empty.jpg": "not an image",
        "/program.jpg": "not an image",
        "/truncated.jpg": "broken image",
        "/slow.jpg": "timeout",
        "/busy.jpg": "429",
        "/broken.jpg": "503",
        "/gone.jpg": "404",
        "/refused.jpg": "connection failed",
    }
    attempts = {path: asked(album).count(path) for path in found}
    assert attempts["/once.jpg"] == attempts["/busy.jpg"] == attempts["/broken.jpg"] == 2
    assert attempts["/gone.jpg"] == attempts["/slow.jpg"] == attempts["/truncated.jpg"] == 1


@pytest.mark.parametrize(
    "prefix",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + photo(1),  # whole, and then more: looks complete when cut
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n",
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"",
    ],
)
def test_a_server_that_drips(prefix):
    with tarpit(prefix) as (url, _):
        start = time.monotonic()
        assert fetched(url, timeout=0.1, retries=3).outcome == "too slow"
        assert 0.6 <= time.monotonic() - start < 5


def test_a_connection_that_opens_too_late_is_cut():
    near, far = socket.socketpair()
    with near, far, web_image._Deadline(0.01) as deadline:
        deadline.timer.join()
        deadline.watch(near)
        far.settimeout(1)
        assert far.recv(1) == b""


def test_a_body_without_end():
    with tarpit(b"HTTP/1.0 200 OK\r\n\r\n", drop=bytes(2**20), pause=0) as (url, _):
        assert fetched(url, timeout=10).outcome == "too large"


def test_redirects(server):
    server.files["/image.jpg"] = photo(1)
    to_image = f"HTTP/1.1 302 Found\r\nLocation: {server.url}/image.jpg\r\n"
    with tarpit(f"{to_image}Content-Length: 0\r\n\r\n".encode()) as (url, _):
        assert fetched(url).content == photo(1)
    # The body of a redirect is of no interest, and may have no end.
    with tarpit(f"{to_image}Content-Length: 10000\r\n\r\n".encode()) as (url, _):
        start = time.monotonic()
        assert fetched(url).content == photo(1)
        assert time.monotonic() - start < 5


def test_redirects_in_a_circle_and_elsewhere(tmp_path):
    circle = b"HTTP/1.1 301 Moved\r\nLocation: /image.jpg\r\nContent-Length: 0\r\n\r\n"
    with tarpit(circle, drop=b"") as (url, served):
        assert fetched(url, timeout=2).outcome == "too many redirects"
        assert len(served) == web_image.REDIRECTS + 1
    (tmp_path / "secret.jpg").write_bytes(photo(1))
    for target, outcome in (
        (f"file://{tmp_path}/secret.jpg", "InvalidSchema"),
        ("ftp://127.0.0.1/a.jpg", "InvalidSchema"),
        ("//[/", "ValueError"),
    ):
        elsewhere = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
        with tarpit(elsewhere.encode(), drop=b"") as (url, _):
            assert fetched(url) == (outcome, b"", "")


@pytest.mark.parametrize(
    "url", ["http://a:port/x.jpg", "http://[::1/x.jpg", "http://.../x.jpg", "http://%/ \x7f"]
)
def test_addresses_that_are_none(url):
    assert fetched(url).outcome != "ok"


def test_the_server_sees_who_asks():
    with tarpit(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", drop=b"") as (url, served):
        assert fetched(url).outcome == "404"
    assert b"sslpipe/" in served[0]


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that signs itself, and its key, in one file."""
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_https(certificate, monkeypatch):
    content = photo(1)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    with tarpit(head + content, drop=b"", certificate=certificate) as (url, _):
        assert fetched(url, timeout=5).outcome == "no trusted certificate"
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert fetched(url, timeout=5).content == content
        assert fetched(url.replace("127.0.0.1", "localhost"), timeout=5).outcome != "ok"
    with tarpit(head, certificate=certificate) as (url, _):
        start = time.monotonic()
        assert fetched(url, timeout=0.1).outcome == "too slow"
        assert time.monotonic() - start < 5


def test_nothing_arrives(album, tmp_path):
    photos = dict(album.files)
    album.files.clear()
    listed(album, [path for path in photos if path != "/cc12m.tsv"])
    with pytest.raises(UserError, match=r"20 addresses in a row \(20 × 404\)"):
        list(cc12m(settings(album), tmp_path))
    assert {path.name for path in folder(tmp_path).iterdir()} <= {".lock"}
    album.files.update(photos)
    assert len(list(cc12m(settings(album), tmp_path))) == 20


def test_the_network_fails_later(album, tmp_path):
    first = list(cc12m(settings(album), tmp_path))
    photos = dict(album.files)
    album.files.clear()
    album.files["/cc12m.tsv"] = photos["/cc12m.tsv"]
    with pytest.raises(UserError, match="nothing arrived from 20 addresses in a row"):
        list(cc12m(settings(album, images=LISTED), tmp_path))
    album.files.update(photos)
    images = list(cc12m(settings(album, images=LISTED), tmp_path))
    assert len(images) == LISTED and images[:20] == first


def test_a_short_list_of_which_nothing_arrives(server, tmp_path):
    listed(server, ["/gone.jpg"])
    with pytest.raises(UserError, match="nothing arrived from 1 addresses"):
        list(cc12m(settings(server), tmp_path))


# --- what is kept ---------------------------------------------------------------------------


def turned(size, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return photo(5, size, exif=exif)


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (photo(1, (300, 200)), (96, 64)),
        (photo(1, (200, 300)), (64, 96)),
        (photo(1, (1500, 1000)), (96, 64)),
        (photo(1, (401, 199), "PNG"), (129, 64)),
        (turned((300, 200), 6), (64, 96)),
    ],
)
def test_large_images_are_made_smaller(server, content, size):
    server.files["/image"] = content
    answer = fetched(f"{server.url}/image", shorter_side=64)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)
        assert image.quantization == Image.open(io.BytesIO(photo(1, quality=95))).quantization
        assert np.asarray(image).std() < 40  # noise: antialiased, so nearer to grey than it was
        assert image.getexif().get(0x0112, 1) == 1
    assert answer.suffix == "jpg"


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("JPEG", "jpg"), ("PNG", "png"), ("GIF", "gif"), ("WEBP", "webp"), ("TIFF", "tiff")],
)
def test_small_images_and_all_where_null_keep_their_bytes(server, kind, suffix):
    server.files["/image"] = photo(1, (100, 64), kind)
    for shorter_side in (None, 64):
        answer = fetched(f"{server.url}/image", shorter_side)
        assert answer == ("ok", server.files["/image"], suffix)


def test_an_image_of_too_many_pixels(server, monkeypatch):
    server.files["/image.png"] = photo(1, (100, 64), "PNG")
    warnings.simplefilter("ignore")  # as the run itself does; pytest restores it
    for most, outcome in ((6399, "too many pixels"), (3000, "too many pixels"), (6400, "ok")):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        assert fetched(f"{server.url}/image.png").outcome == outcome


def test_transparency_is_white(server):
    file = io.BytesIO()
    Image.new("RGBA", (100, 100), (0, 0, 0, 0)).save(file, "PNG")
    server.files["/image.png"] = file.getvalue()
    answer = fetched(f"{server.url}/image.png", shorter_side=32)
    assert np.asarray(Image.open(io.BytesIO(answer.content))).min() > 250


# --- interruption and damage ----------------------------------------------------------------


def test_finished_shards_are_never_fetched_again(album, tmp_path):
    first = list(cc12m(settings(album, images=LISTED), tmp_path))
    kept = {path.name: path.read_bytes() for path in folder(tmp_path).glob("0*")}
    album.requests.clear()
    album.files.clear()
    assert list(cc12m(settings(album, images=LISTED), tmp_path)) == first
    assert asked(album) == []
    assert kept == {path.name: path.read_bytes() for path in folder(tmp_path).glob("0*")}


def test_stopped_between_shards(album, tmp_path, monkeypatch):
    def stop_after_two(*arguments):
        if len(list(folder(tmp_path).glob("0*.csv"))) == 2:
            raise KeyboardInterrupt
        return done(*arguments)

    done = web._done
    monkeypatch.setattr(web, "_done", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        list(cc12m(settings(album, images=LISTED), tmp_path))
    finished = outcomes(tmp_path)
    assert len(finished) == 20
    assert not (folder(tmp_path) / "arrived.csv").exists()
    monkeypatch.setattr(web, "_done", done)
    album.requests.clear()
    assert len(list(cc12m(settings(album, images=LISTED), tmp_path))) == LISTED
    assert set(asked(album)) == set(outcomes(tmp_path)) - set(finished)


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda tar, table: flipped(tar),
        lambda tar, table: tar.unlink(),
        lambda tar, table: table.unlink(),
        lambda tar, table: os.truncate(tar, 3000),
        lambda tar, table: os.truncate(tar, 0),
        lambda tar, table: os.truncate(table, table.stat().st_size // 2),
        lambda tar, table: os.truncate(table, 0),
        lambda tar, table: table.write_bytes(b"\xff" + table.read_bytes()),
        lambda tar, table: table.write_text(table.read_text().replace("/1.jpg", "/x.jpg", 1) + "a"),
        lambda tar, table: table.write_text(table.read_text().replace(",ok,", ",404,", 1)),
    ],
)
def test_a_damaged_shard_is_fetched_again(album, tmp_path, damage):
    first = list(cc12m(settings(album, images=LISTED), tmp_path))
    tar = folder(tmp_path) / "00001.tar"
    whole = tar.read_bytes()
    shard = [row["url"].removeprefix(album.url) for row in table(tar.with_suffix(".csv"))]
    damage(tar, tar.with_suffix(".csv"))
    album.requests.clear()
    assert list(cc12m(settings(album, images=LISTED), tmp_path)) == first
    assert sorted(asked(album)) == sorted(shard)
    assert tar.read_bytes() == whole


def test_random_damage_is_found(album, tmp_path, capsys):
    list(cc12m(settings(album, images=10), tmp_path))
    tar = folder(tmp_path) / "00000.tar"
    urls = [row["url"] for row in table(tar.with_suffix(".csv"))]
    whole = tar.read_bytes()
    draw = random.Random(0)
    for _ in range(100):
        content = bytearray(whole)
        for _ in range(draw.choice((1, 20, 400))):
            content[draw.randrange(len(content))] = draw.randrange(256)
        tar.write_bytes(content)
        rows = web._finished(tar, urls)  # None, or the change was to what nobody reads
        assert rows is None or len(rows) == 10
    capsys.readouterr()


PROGRAM = """
import signal
import sys
from pathlib import Path
from sslpipe.data.sources import web
from sslpipe.schema.sources.web import CC12M

signal.signal(signal.SIGINT, signal.default_int_handler)  # shells' background jobs ignore it
web.SHARD = 10
source = CC12M(images=60, connections=4, timeout=30.0, mirrors=[sys.argv[1]])
print(len(list(web.cc12m(source, Path(sys.argv[2])))))
"""


def begun(server, root):
    """A process that waits in its third shard: there its server is silent."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, server.url, str(root)])
    deadline = time.monotonic() + 60
    shards = root / "data/downloads/cc12m"
    while len(asked(server)) < 28 or not list(shards.glob("*/00001.csv")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_process_is_stopped_in_mid_shard(album, tmp_path, number):
    urls = [f"{album.url}/{n}.jpg" for n in range(LISTED)]
    order = [
        url.removeprefix(album.url) for url in sorted(urls, key=lambda u: share(u, "cc12m:0:"))
    ]
    for path in order[24:]:
        album.faults[path] = [Fault(pause=5)]
    process = begun(album, tmp_path)
    process.send_signal(number)
    assert process.wait(timeout=30) != 0  # without the 9 rounds of 5 seconds that are left
    assert set(outcomes(tmp_path)) == set(order[:20])
    album.faults.clear()
    album.requests.clear()
    (folder(tmp_path) / ".00002.tar.abc.part").write_bytes(b"left behind")
    assert len(list(cc12m(settings(album, images=LISTED), tmp_path))) == LISTED
    assert set(asked(album)) == set(order[20:])
    assert not list(folder(tmp_path).glob(".*.part"))


def test_two_at_once_fetch_once(tmp_path):
    with serving() as server:
        server.files.update({f"/{number}.jpg": photo(number) for number in range(20)})
        listed(server, list(server.files))
        results = []
        threads = [
            threading.Thread(target=lambda: results.append(list(cc12m(settings(server), tmp_path))))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results[0] == results[1] and len(results[0]) == 20
        assert len(asked(server)) == 20
