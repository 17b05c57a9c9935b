"""Downloads from a server that misbehaves: the right file in the end, or one clear error."""

import gzip
import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from file_server import Fault

from sslpipe.data import fetch as module
from sslpipe.data.fetch import RemoteFile, fetch
from sslpipe.errors import UserError
from sslpipe.io import files
from sslpipe.schema.sources.base import Downloaded

CONTENT = bytes(range(256)) * 4000  # 1 MB
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "TIMEOUT", (1.0, 0.5))


@pytest.fixture
def origin(server):
    server.files = {"/origin/a.tar": CONTENT, "/mirror/a.tar": CONTENT}
    return server


def remote(server, checksum=SHA256, name="a.tar"):
    return RemoteFile(name, (f"{server.url}/origin/{name}",), checksum)


def paths(server):
    return [path for path, _ in server.requests]


def names(folder):
    return {path.name for path in folder.iterdir()} - {".a.tar.lock"}


@pytest.mark.parametrize("checksum", [SHA256, MD5])
def test_a_whole_file_is_fetched_once(origin, tmp_path, checksum):
    for _ in range(2):
        path = fetch(remote(origin, checksum), Downloaded(), tmp_path / "downloads")
        assert path.read_bytes() == CONTENT
    assert paths(origin) == ["/origin/a.tar"]
    assert names(tmp_path / "downloads") == {"a.tar"}


def test_a_cut_download_goes_on_where_it_stopped(origin, tmp_path):
    origin.faults["/origin/a.tar"] = [Fault(cut_after=300_000), Fault(cut_after=200_000)]
    assert fetch(remote(origin), Downloaded(), tmp_path).read_bytes() == CONTENT
    assert [sent for _, sent in origin.requests] == ["", "bytes=300000-", "bytes=500000-"]


def test_progress_counts_not_the_number_of_cuts(origin, tmp_path):
    origin.faults["/origin/a.tar"] = [Fault(cut_after=60_000)] * 12
    assert fetch(remote(origin), Downloaded(), tmp_path).read_bytes() == CONTENT
    assert [sent for _, sent in origin.requests][:3] == ["", "bytes=60000-", "bytes=120000-"]


def test_small_files_go_on_too(origin, tmp_path):
    origin.files["/origin/b.txt"] = b"0123456789"
    origin.faults["/origin/b.txt"] = [Fault(cut_after=3)] * 3
    checksum = f"sha256:{hashlib.sha256(b'0123456789').hexdigest()}"
    path = fetch(remote(origin, checksum, "b.txt"), Downloaded(), tmp_path)
    assert path.read_bytes() == b"0123456789"


def test_a_tgz_stays_as_it_is_though_the_server_calls_it_compressed(origin, tmp_path):
    content = gzip.compress(CONTENT)
    origin.files["/origin/a.tar"] = content
    encoded = (("Content-Encoding", "x-gzip"),)
    faults = [Fault(cut_after=1000, headers=encoded), Fault(headers=encoded)]
    origin.faults["/origin/a.tar"] = faults
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert fetch(remote(origin, checksum), Downloaded(), tmp_path).read_bytes() == content


def test_a_page_in_the_way_does_not_cost_what_was_downloaded(origin, tmp_path):
    origin.faults["/origin/a.tar"] = [Fault(cut_after=400_000), Fault(page=b"<html>Sign in</html>")]
    with pytest.raises(UserError, match="it has 20 bytes, fewer than the 400000 downloaded before"):
        fetch(remote(origin), Downloaded(), tmp_path)
    assert fetch(remote(origin), Downloaded(), tmp_path).read_bytes() == CONTENT
    assert origin.requests[-1] == ("/origin/a.tar", "bytes=400000-")


def test_a_length_that_is_too_long_is_seen_through(origin, tmp_path):
    length = (("Content-Length", str(len(CONTENT) + 5)),)
    origin.faults["/origin/a.tar"] = [Fault(headers=length, cut_after=len(CONTENT))]
    assert fetch(remote(origin), Downloaded(), tmp_path).read_bytes() == CONTENT


def test_a_file_of_unknown_length_and_checksum_is_not_trusted(origin, tmp_path):
    endless = (("Content-Length", ""),)
    origin.faults["/origin/a.tar"] = [Fault(headers=endless)] * 2
    with pytest.raises(UserError, match="does not say how long the file is"):
        fetch(remote(origin, ""), Downloaded(), tmp_path)
    assert fetch(remote(origin), Downloaded(), tmp_path).read_bytes() == CONTENT


def test_a_server_that_asks_for_patience_gets_it(origin, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=pauses.append))
    asked = (("Retry-After", "60"),)
    origin.faults["/origin/a.tar"] = [Fault(503, headers=asked), Fault(429), Fault(429)]
    fetch(remote(origin), Downloaded(), tmp_path)
    assert pauses[0] == 60
    assert pauses[1] < pauses[2] < 1


def test_a_killed_process_leaves_what_it_has(origin, tmp_path):
    origin.faults["/origin/a.tar"] = [Fault(cut_after=400_000), Fault(pause=30)]
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_fetch_in_child, args=(remote(origin), tmp_path))
    child.start()
    part = tmp_path / ".a.tar.part"
    deadline = time.monotonic() + 20
    while len(origin.requests) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert part.read_bytes() == CONTENT[:400_000]
    assert fetch(remote(origin), Downloaded(), tmp_path).read_bytes() == CONTENT
    assert origin.requests[-1] == ("/origin/a.tar", "bytes=400000-")


def _fetch_in_child(file, folder):
    module.TIMEOUT = 60, 60
    fetch(file, Downloaded(), folder)


def test_a_server_that_knows_no_ranges_sends_all_again(origin, tmp_path):
    origin.ranges = False
    origin.faults["/origin/a.tar"] = [Fault(cut_after=300_000)]
    assert fetch(remote(origin), Downloaded(), tmp_path).read_bytes() == CONTENT
    assert len(origin.requests) == 2


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"more", b"other" * 1000])
def test_a_part_that_is_whole_or_of_another_file(origin, tmp_path, part):
    (tmp_path / ".a.tar.part").write_bytes(part)
    assert fetch(remote(origin), Downloaded(), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == {"a.tar"}


def test_a_wrong_checksum_is_refused_and_nothing_stays(origin, tmp_path):
    origin.files["/origin/a.tar"] = CONTENT[:-1] + b"!"
    with pytest.raises(UserError, match=r"/origin/a\.tar: not the expected file"):
        fetch(remote(origin), Downloaded(), tmp_path)
    assert names(tmp_path) == set()
    origin.files["/origin/a.tar"] = CONTENT
    assert fetch(remote(origin), Downloaded(), tmp_path).read_bytes() == CONTENT


def test_mirrors_come_first_and_the_origin_is_the_last_resort(origin, tmp_path, capsys):
    source = Downloaded(mirrors=[f"{origin.url}/gone/", f"{origin.url}/mirror"])
    assert fetch(remote(origin), source, tmp_path).read_bytes() == CONTENT
    assert paths(origin) == ["/gone/a.tar", "/mirror/a.tar"]  # 404 is not asked again
    assert "/gone/a.tar: 404" in capsys.readouterr().err
    (tmp_path / "a.tar").unlink()
    origin.files["/mirror/a.tar"] = b"an advertisement"
    assert fetch(remote(origin), source, tmp_path).read_bytes() == CONTENT
    assert paths(origin)[-1] == "/origin/a.tar"


def test_a_busy_server_is_asked_again(origin, tmp_path, capsys):
    origin.faults["/origin/a.tar"] = [Fault(500), Fault(503), Fault(429)]
    assert fetch(remote(origin), Downloaded(), tmp_path).read_bytes() == CONTENT
    assert "500" in capsys.readouterr().err


def test_a_slow_server_is_asked_again(origin, tmp_path, capsys):
    origin.faults["/origin/a.tar"] = [Fault(pause=1.0)]
    assert fetch(remote(origin), Downloaded(), tmp_path).read_bytes() == CONTENT
    assert "no answer in time" in capsys.readouterr().err


def test_every_address_that_was_tried_is_told(origin, tmp_path):
    origin.faults["/origin/a.tar"] = [Fault(500)] * 99
    source = Downloaded(mirrors=[f"{origin.url}/gone", "http://127.0.0.1:9"])
    with pytest.raises(UserError) as caught:
        fetch(remote(origin), source, tmp_path)
    text = str(caught.value)
    assert text.splitlines()[0].startswith("a.tar could not be downloaded; run it again")
    assert f"{origin.url}/gone/a.tar: 404" in text
    assert "http://127.0.0.1:9/a.tar: the connection failed" in text
    assert f"{origin.url}/origin/a.tar: 500 Internal Server Error (5 attempts)" in text
    assert paths(origin).count("/origin/a.tar") == 5


def test_a_directory_is_looked_into_first(origin, tmp_path, capsys):
    folder = tmp_path / "storage"
    folder.mkdir()
    source = Downloaded(directory=str(folder))
    (folder / "a.tar").write_bytes(CONTENT)
    assert fetch(remote(origin), source, tmp_path / "d") == folder / "a.tar"
    assert origin.requests == []
    (folder / "a.tar").write_bytes(b"an older edition")
    assert fetch(remote(origin), source, tmp_path / "d") == tmp_path / "d/a.tar"
    assert "storage/a.tar: not used: its checksum is not" in capsys.readouterr().err
    assert (folder / "a.tar").read_bytes() == b"an older edition"


@pytest.mark.parametrize("directory", ["/no/such/folder", "~nobody-of-this-name/x", __file__])
def test_a_directory_that_is_none_is_told_before_anything_is_fetched(origin, tmp_path, directory):
    with pytest.raises(UserError, match=r"source\.directory: .*no such folder; is it mounted"):
        fetch(remote(origin), Downloaded(directory=directory), tmp_path)
    assert origin.requests == []


def test_a_read_only_folder_is_enough_when_the_file_is_there(origin, tmp_path, monkeypatch):
    (tmp_path / "a.tar").write_bytes(CONTENT)
    monkeypatch.setattr(module, "locked", None)  # which would have to write a lock
    assert fetch(remote(origin), Downloaded(), tmp_path) == tmp_path / "a.tar"


def test_things_in_the_way_are_told(origin, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="file: not a folder"):
        fetch(remote(origin), Downloaded(), tmp_path / "file")
    (tmp_path / "a.tar").mkdir()
    with pytest.raises(UserError, match=r"a\.tar: a folder lies where a file"):
        fetch(remote(origin), Downloaded(), tmp_path)


def test_a_wrong_checksum_in_params_costs_no_download(origin, tmp_path):
    (tmp_path / "a.tar").write_bytes(CONTENT)
    wrong = Downloaded(checksums={"a.tar": "sha256:" + 64 * "0"})
    with pytest.raises(UserError, match="not the expected file"):
        fetch(remote(origin), wrong, tmp_path)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


@pytest.mark.parametrize("mirror", [f"http://{'a' * 70}.org", "http://a..b", "http://.org"])
def test_addresses_that_cannot_be_are_passed_over(origin, tmp_path, mirror):
    source = Downloaded(mirrors=[mirror])
    assert fetch(remote(origin), source, tmp_path).read_bytes() == CONTENT


def test_a_damaged_download_is_fetched_again(origin, tmp_path):
    (tmp_path / "a.tar").write_bytes(CONTENT[:-1])
    assert fetch(remote(origin), Downloaded(), tmp_path).read_bytes() == CONTENT


def test_checksums_of_params_count_and_unknown_ones_are_told(origin, tmp_path, capsys):
    assert fetch(remote(origin, ""), Downloaded(), tmp_path).read_bytes() == CONTENT
    assert f"its sha256 is {SHA256.removeprefix('sha256:')}" in capsys.readouterr().err
    wrong = Downloaded(checksums={"a.tar": "sha256:" + 64 * "0"})
    with pytest.raises(UserError, match="not the expected file"):
        fetch(remote(origin, ""), wrong, tmp_path)


def test_a_full_disk_is_told_before_anything_is_written(origin, tmp_path, monkeypatch):
    usage = files.shutil.disk_usage(tmp_path)
    free = usage._replace(free=files.SPARE + len(CONTENT) - 1)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: free)
    with pytest.raises(UserError, match=r"a\.tar needs 1\.0 MB, but only .* are free"):
        fetch(remote(origin), Downloaded(), tmp_path)
    assert names(tmp_path) == set()


def test_processes_that_want_the_same_file_download_it_once(origin, tmp_path):
    origin.faults["/origin/a.tar"] = [Fault(pause=0.3)]
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=_fetch_in_child, args=(remote(origin), tmp_path)) for _ in range(3)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert paths(origin) == ["/origin/a.tar"]
    assert Path(tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_token_goes_to_the_origin_alone(origin, tmp_path, monkeypatch):
    sent = []
    get = module.requests.get

    def spy(url, headers, **settings):
        sent.append((url, headers.get("Authorization")))
        return get(url, headers=headers, **settings)

    monkeypatch.setattr(module.requests, "get", spy)
    source = Downloaded(mirrors=[f"{origin.url}/gone"])
    fetch(remote(origin)._replace(token="secret"), source, tmp_path)
    assert sent == [
        (f"{origin.url}/gone/a.tar", None),
        (f"{origin.url}/origin/a.tar", "Bearer secret"),
    ]
