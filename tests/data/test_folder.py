"""The user's own folders and zips."""

import os
import stat
import zipfile
from pathlib import Path

import pytest

from sslpipe.data.sources import collection, folder
from sslpipe.errors import UserError
from sslpipe.schema.sources.folder import Folder

LAYOUTS = {
    "classes": (
        ["cat/1.jpg", "cat/sub/2.PNG", "dog/3.jpeg"],
        ["all/cat/1.jpg", "all/cat/sub/2.PNG", "all/dog/3.jpeg"],
    ),
    "splits": (
        ["train/cat/1.jpg", "test/cat/1.jpg", "val/dog/1.jpg"],
        ["test/cat/1.jpg", "train/cat/1.jpg", "val/dog/1.jpg"],
    ),
    "valid": (["train/a/1.jpg", "valid/a/1.jpg"], ["train/a/1.jpg", "val/a/1.jpg"]),
    "validation": (["train/a/1.jpg", "Validation/a/1.jpg"], ["train/a/1.jpg", "val/a/1.jpg"]),
    "public": (
        ["private/a/1.jpg", "public/a/1.jpg", "train/a/1.jpg"],
        ["private/a/1.jpg", "public/a/1.jpg", "train/a/1.jpg"],
    ),
    "one top, classes": (["NAME/cat/1.jpg", "NAME/dog/2.jpg"], ["all/cat/1.jpg", "all/dog/2.jpg"]),
    "one top, splits": (
        ["NAME/train/cat/1.jpg", "NAME/test/dog/2.jpg"],
        ["test/dog/2.jpg", "train/cat/1.jpg"],
    ),
    "train only": (["train/a/1.jpg", "train/b/1.jpg"], ["train/a/1.jpg", "train/b/1.jpg"]),
    "a class called train": (["bus/1.jpg", "train/2.jpg"], ["all/bus/1.jpg", "all/train/2.jpg"]),
    "loose": (["1.jpg", "2.jpg"], ["all/_/1.jpg", "all/_/2.jpg"]),
    "loose beside classes": (["1.jpg", "cat/2.jpg"], ["all/_/1.jpg", "all/cat/2.jpg"]),
    "loose in splits": (["test/1.jpg", "train/2.jpg"], ["test/_/1.jpg", "train/_/2.jpg"]),
}


def content(name: str) -> bytes:
    return b"content of " + name.encode()


def make_folder(top: Path, names) -> Path:
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(name))
    return top


def make_zip(path: Path, names) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, content(name))
    return path


def read(path, root=Path(), labelled=False, **settings):
    return list(folder.folder(Folder(path=str(path), **settings), root, labelled=labelled))


@pytest.mark.parametrize("names, members", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("make", [make_folder, make_zip])
def test_layouts(tmp_path, make, names, members):
    read_members = read(make(tmp_path / "images.zip", names))
    assert [name for name, _ in read_members] == members
    assert sorted(value for _, value in read_members) == sorted(map(content, names))


def test_a_path_is_relative_to_the_projects_root(tmp_path):
    make_folder(tmp_path / "my/images", ["a/1.jpg"])
    assert read("my/images", tmp_path) == [("all/a/1.jpg", content("a/1.jpg"))]


@pytest.mark.parametrize("make", [make_folder, make_zip])
def test_other_files_are_left_out_and_counted(tmp_path, make, capsys):
    names = ["a/1.jpg", "a/notes.txt", "a/2.npy", "b/.hidden.jpg", ".git/x/3.jpg"]
    names += ["__MACOSX/a/._1.jpg", "a/Thumbs.db", "b/4.jpg"]
    members = read(make(tmp_path / "images.zip", names))
    assert [name for name, _ in members] == ["all/a/1.jpg", "all/b/4.jpg"]
    assert "left out 3 files of other kinds" in capsys.readouterr().err


def test_hidden_things_do_not_count_for_the_layout(tmp_path):
    names = ["NAME/train/a/1.jpg", "__MACOSX/NAME/train/a/1.jpg", ".DS_Store"]
    assert [n for n, _ in read(make_zip(tmp_path / "x.zip", names))] == ["train/a/1.jpg"]


@pytest.mark.parametrize("make", [make_folder, make_zip])
@pytest.mark.parametrize(
    "names, message",
    [
        (["a/notes.txt"], "no images below it"),
        ([], "no images below it"),
        (
            ["train/a/1.jpg", "test/a/1.jpg", "more/a/1.jpg"],
            "test, train: split by name, but beside more",
        ),
        (["a/new\nline.jpg"], "control character"),
        (["1.jpg", "_/1.jpg", "a/2.jpg"], "_/1.jpg: a class folder cannot be called _"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, make, names, message):
    top = tmp_path / "images.zip"
    if make is make_folder:
        top.mkdir()
    with pytest.raises(UserError, match=message) as caught:
        read(make(top, names))
    assert "\n" not in str(caught.value)


def test_a_missing_path_is_shown_with_the_root(tmp_path):
    with pytest.raises(UserError, match="gone/images") as caught:
        read("gone/images", tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "relative to the project's root" in str(caught.value)


def test_a_home_folder_that_is_not_there_is_one_line():
    with pytest.raises(UserError, match=r"source\.path: ~nosuch/x: ~ stands for no home folder"):
        read("~nosuch/x")


def test_names_that_are_not_utf8_are_refused(tmp_path):
    top = tmp_path / "x"
    (top / "a").mkdir(parents=True)
    try:
        (top / "a" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    with pytest.raises(UserError, match="not UTF-8"):
        read(top)


def test_links_are_followed_and_loops_end(tmp_path, capsys):
    elsewhere = make_folder(tmp_path / "elsewhere", ["a/1.jpg", "b/2.jpg"])
    top = make_folder(tmp_path / "top", ["a/3.jpg"])
    (top / "a/4.jpg").symlink_to(elsewhere / "a/1.jpg")
    (top / "a/5.jpg").symlink_to(elsewhere / "gone.jpg")
    (top / "b").symlink_to(elsewhere / "b", target_is_directory=True)
    (top / "a/loop").symlink_to(top, target_is_directory=True)
    assert read(top) == [
        ("all/a/3.jpg", content("a/3.jpg")),
        ("all/a/4.jpg", content("a/1.jpg")),
        ("all/b/2.jpg", content("b/2.jpg")),
    ]
    said = capsys.readouterr().err
    assert "links to folders were followed: b" in said
    assert "1 links that lead back (a/loop)" in said
    assert "1 links to nothing" in said


@pytest.mark.parametrize("name", ["../../evil.jpg", "/etc/evil.jpg", "a/../../b.jpg", "C:/a/b.jpg"])
def test_hostile_zip_names_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="unsafe name"):
        read(make_zip(tmp_path / "x.zip", ["a/1.jpg", name]))


def test_backslashes_are_separators_and_cannot_leave(tmp_path):
    assert [n for n, _ in read(make_zip(tmp_path / "a.zip", ["cat\\1.jpg"]))] == ["all/cat/1.jpg"]
    with pytest.raises(UserError, match="unsafe name"):
        read(make_zip(tmp_path / "b.zip", ["..\\..\\1.jpg"]))


def test_links_in_a_zip_are_left_out(tmp_path, capsys):
    path = make_zip(tmp_path / "x.zip", ["a/1.jpg"])
    link = zipfile.ZipInfo("a/link.jpg")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(link, "/etc/passwd")
    assert [name for name, _ in read(path)] == ["all/a/1.jpg"]
    assert "left out 1 links" in capsys.readouterr().err


def test_broken_zips_are_one_line(tmp_path):
    path = make_zip(tmp_path / "x.zip", ["a/1.jpg", "a/2.jpg"])
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(UserError, match="not a readable zip"):
        read(path)
    path.write_bytes(whole.replace(content("a/2.jpg"), content("x/2.jpg")))
    with pytest.raises(UserError, match=r"broken at a/2\.jpg"):
        read(path)
    path.write_bytes(b"no zip at all")
    with pytest.raises(UserError, match="not a readable zip"):
        read(path)


def test_encrypted_zips_are_one_line(tmp_path):
    path = make_zip(tmp_path / "x.zip", ["a/1.jpg"])
    bytes_ = bytearray(path.read_bytes())
    bytes_[6] |= 1  # the flag in the local header and in the directory
    bytes_[bytes_.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes_)
    with pytest.raises(UserError, match=r"cannot read a/1\.jpg .*encrypted"):
        read(path)


def test_files_too_long_to_hold_are_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(collection, "LARGEST_FILE", 2**20)
    monkeypatch.setattr(folder, "UNREADABLE_SHARE", 0.5)
    path = make_zip(tmp_path / "x.zip", ["a/1.jpg"])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/bomb.jpg", bytes(2**20 + 1))
    assert [name for name, _ in read(path)] == ["all/a/1.jpg"]
    assert "1 images of more than 1 MiB" in capsys.readouterr().err


def test_a_file_that_is_inside_twice_is_refused(tmp_path):
    path = make_zip(tmp_path / "x.zip", ["a/1.jpg"])
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("a/1.jpg", b"other")
    with pytest.raises(UserError, match="inside twice"):
        read(path)


def test_images_are_read_one_at_a_time(tmp_path):
    top = make_folder(tmp_path / "x", ["a/1.jpg", "a/2.jpg"])
    members = folder.folder(Folder(path=str(top)), Path(), labelled=False)
    next(members)
    (top / "a/2.jpg").write_bytes(b"changed")
    assert next(members) == ("all/a/2.jpg", b"changed")
