"""The tar of encoded images."""

import hashlib
import tarfile

import pytest

from sslpipe.data import raw
from sslpipe.errors import UserError

MEMBERS = [
    ("all/a/1.png", b"one"),
    ("all/a/" + "long" * 60 + ".png", b""),
    ("all/chat/été/2.png", bytes(range(256)) * 50),
]


def test_the_same_members_make_the_same_bytes(tmp_path):
    assert raw.write(tmp_path / "one.tar", MEMBERS) == 3
    raw.write(tmp_path / "sub/two.tar", iter(MEMBERS))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "sub/two.tar").read_bytes()


def test_the_bytes_do_not_depend_on_the_python(tmp_path):
    """If this fails, the bytes of every download change and everything is made again."""
    raw.write(tmp_path / "x.tar", MEMBERS)
    digest = hashlib.sha256((tmp_path / "x.tar").read_bytes()).hexdigest()
    assert digest == "43923d8bb5cafabb3a416f2523d2dc9d3271612a75f2df2c85bbe2bab88642f3"


def test_times_owners_and_modes_are_fixed(tmp_path):
    raw.write(tmp_path / "x.tar", MEMBERS)
    with tarfile.open(tmp_path / "x.tar") as tar:
        for info in tar:
            facts = info.mtime, info.uid, info.gid, info.mode, info.uname, info.gname
            assert facts == (0, 0, 0, 0o644, "", "")


def test_members_lie_where_read_says(tmp_path):
    raw.write(tmp_path / "x.tar", MEMBERS)
    content = (tmp_path / "x.tar").read_bytes()
    members = raw.read(tmp_path / "x.tar")
    assert [
        (member.name, content[member.offset : member.offset + member.size]) for member in members
    ] == MEMBERS
    assert (members[2].split, members[2].class_name) == ("all", "chat")


def test_each_name_comes_once_in_any_order(tmp_path):
    with pytest.raises(UserError, match="two images are called all/a/1"):
        raw.write(tmp_path / "x.tar", [(name, b"") for name in ("all/a/1", "all/b/1", "all/a/1")])
    assert not list(tmp_path.iterdir())
    assert raw.write(tmp_path / "x.tar", [("all/b/1", b"b"), ("all/a/1", b"a")]) == 2
    assert [member.name for member in raw.read(tmp_path / "x.tar")] == ["all/b/1", "all/a/1"]


def test_names_hold_no_control_characters(tmp_path):
    with pytest.raises(ValueError, match="control"):
        raw.write(tmp_path / "x.tar", [("all/a/1\n2", b"")])


def test_nothing_is_written_for_no_images_or_a_failing_source(tmp_path):
    with pytest.raises(UserError, match="no images"):
        raw.write(tmp_path / "x.tar", [])

    def failing():
        yield MEMBERS[0]
        raise UserError("the network is gone")

    with pytest.raises(UserError, match="network"):
        raw.write(tmp_path / "x.tar", failing())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"no tar", b"\1" * 2000])
def test_broken_tars_are_one_line(tmp_path, content):
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.tar: broken"):
        raw.read(tmp_path / "x.tar")


@pytest.mark.parametrize("name", ["1.png", "all/1.png", "other/a/1.png", "all//1.png"])
def test_foreign_tars_are_refused(tmp_path, name, monkeypatch):
    monkeypatch.setattr(raw, "_check", lambda name: None)
    raw.write(tmp_path / "x.tar", [(name, b"")])
    monkeypatch.undo()
    with pytest.raises(UserError, match="<split>/<class>/<file>"):
        raw.read(tmp_path / "x.tar")


def test_a_changed_byte_of_any_image_is_noticed(tmp_path):
    path = tmp_path / "x.tar"
    raw.write(path, MEMBERS)
    content = path.read_bytes()
    seal = tarfile.open(path).getmembers()[-1]  # noqa: SIM115
    for place in range(0, seal.offset, 101):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(UserError, match=r"x\.tar: broken"):
            raw.read(path)


@pytest.mark.parametrize("kept", [3, 2, 0])
def test_a_tar_without_its_end_is_noticed(tmp_path, kept):
    """tarfile takes a tar that ends between two members for a whole one."""
    path = tmp_path / "x.tar"
    raw.write(path, MEMBERS)
    with tarfile.open(path) as tar:
        end = tar.getmembers()[kept].offset
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(UserError, match=r"x\.tar: broken"):
        raw.read(path)


def test_links_in_a_tar_are_refused(tmp_path):
    info = tarfile.TarInfo("all/a/1.png")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.addfile(info)
    with pytest.raises(UserError, match="not an ordinary file"):
        raw.read(tmp_path / "x.tar")
