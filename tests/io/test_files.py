import errno
import os
import stat

import pytest

from sslpipe.io.files import atomic, read_json, sha256, write_bytes, write_json, write_text


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "folder/file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_replaces_a_read_only_link_without_touching_its_twin(tmp_path):
    """DVC's cache may hold the same inode: writing into it would damage the cache."""
    cached, path = tmp_path / "cached", tmp_path / "out"
    cached.write_text("cached")
    cached.chmod(stat.S_IRUSR)
    os.link(cached, path)
    write_text(path, "new")
    assert cached.read_text() == "cached"
    assert path.read_text() == "new"


def test_permissions_follow_the_umask(tmp_path):
    write_bytes(tmp_path / "a", b"")
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_json_and_checksum(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": 1.5, "name": "é"})
    assert read_json(path) == {"x": 1.5, "name": "é"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"x": float("nan")})
    write_bytes(path, b"abc")
    assert sha256(path).startswith("ba7816bf8f01cfea")


def test_temporary_files_of_killed_writers_are_removed_and_others_stay(tmp_path):
    path = tmp_path / "a.json"
    abandoned = tmp_path / ".a.json.x1y2.part"
    abandoned.write_bytes(b"half")
    with atomic(path) as file:  # at work, while another process writes the same file
        file.write(b"first")
        write_bytes(path, b"second")
        assert path.read_bytes() == b"second"
        assert len(list(tmp_path.glob(".a.json.*.part"))) == 1
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_with_the_file_that_has_no_room(tmp_path):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError) as caught, atomic(tmp_path / "x.npy") as file:
        full(file)
    assert caught.value.filename == str(tmp_path / "x.npy")
    assert list(tmp_path.iterdir()) == []
