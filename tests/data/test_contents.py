"""Whether what a set is made of has changed, against hashes of everything."""

import hashlib
import json
import os
import shutil
import sys
import types
import zipfile
from typing import Literal

import pytest

from sslpipe.data import contents as module
from sslpipe.data.contents import contents, settings, source_settings, stamps
from sslpipe.data.sources import module_of, reader
from sslpipe.layout import Layout
from sslpipe.schema.data import Dataset
from sslpipe.schema.sources.base import Source


def dataset(path="imgs", **source):
    return Dataset(source={"kind": "folder", "path": str(path), **source})


@pytest.fixture
def layout(tmp_path):
    for name in ("a/1.jpg", "a/2.png", "b/deep/3", "b/notes.md", "b/.hidden.jpg", "@eaDir/4.jpg"):
        put(tmp_path / "imgs" / name, name)
    return Layout(tmp_path)


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())


def look(layout, source=None):
    return contents(source or dataset(), layout, "mine")


def test_it_is_a_hash_of_names_and_contents_of_what_may_be_images(layout):
    names = ["a/1.jpg", "a/2.png", "b/deep/3"]
    hashes = [[name, hashlib.sha256(name.encode()).hexdigest()] for name in names]
    text = json.dumps(hashes, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert look(layout) == hashlib.sha256(text.encode()).hexdigest()


def test_what_is_no_change(layout, monkeypatch):
    before = look(layout)
    for path in (layout.root / "imgs").rglob("*"):
        os.utime(path, (1, 1))
    assert look(layout) == before
    put(layout.root / "imgs/b/notes.md", "longer")
    put(layout.root / "imgs/new.txt", "more")
    assert look(layout) == before
    shutil.copytree(layout.root / "imgs", layout.root / "elsewhere/copy")
    assert look(layout, dataset("elsewhere/copy")) == before
    shutil.rmtree(layout.root / "imgs")
    assert look(layout) == before  # not on this machine any more
    read = []
    monkeypatch.setattr(module, "_whole", lambda path: read.append(path) or "x")
    assert look(layout, dataset("elsewhere/copy")) == before
    assert not read


@pytest.mark.parametrize(
    "change",
    [
        lambda top: put(top / "a/5.jpg", "added"),
        lambda top: (top / "a/1.jpg").unlink(),
        lambda top: (top / "a/1.jpg").rename(top / "b/1.jpg"),
        lambda top: put(top / "a/1.jpg", "other content"),
        lambda top: put(top / "b/4", "without a suffix"),
    ],
)
def test_what_is_a_change_and_taking_it_back(layout, change):
    top, kept = layout.root / "imgs", layout.root / "kept"
    before = look(layout)
    shutil.copytree(top, kept)
    change(top)
    assert look(layout) != before
    shutil.rmtree(top)
    kept.rename(top)
    assert look(layout) == before


def test_a_change_that_hides_its_time_is_found(layout):
    path = layout.root / "imgs/a/1.jpg"
    before, stat = look(layout), path.stat()
    path.write_bytes(b"a/9.jpg")  # as long
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert look(layout) != before


def test_links_are_followed_and_what_is_no_file_is_not_read(layout):
    top = layout.root / "imgs"
    put(layout.root / "far/9.jpg", "far")
    (top / "c").symlink_to(layout.root / "far")
    (top / "c/loop").symlink_to(top)
    (top / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(top / "pipe.jpg")
    before = look(layout)
    assert "c/9.jpg" in stamps(dataset(), layout)
    put(layout.root / "far/10.jpg", "more")
    assert look(layout) != before


def test_zips_and_tables_beside_them(layout):
    with zipfile.ZipFile(layout.root / "x.zip", "w") as file:
        file.writestr("a/1.jpg", b"1")
    put(layout.root / "labels.csv", "id,label\n1,a\n")
    source = dataset("x.zip", labels="labels.csv")
    before = look(layout, source)
    put(layout.root / "labels.csv", "id,label\n1,b\n")
    assert look(layout, source) != before
    after = look(layout, source)
    with zipfile.ZipFile(layout.root / "x.zip", "a") as file:
        file.writestr("a/2.jpg", b"2")
    assert look(layout, source) != after


def test_a_table_in_the_folder_counts(layout):
    source = dataset(labels="labels.csv")
    put(layout.root / "imgs/labels.csv", "id,label\n")
    before = look(layout, source)
    put(layout.root / "imgs/labels.csv", "id,label\n1,a\n")
    assert look(layout, source) != before


def test_archives_of_published_sets(layout):
    source = Dataset(source={"kind": "sun397", "directory": str(layout.root / "archives")})
    put(layout.root / "archives/SUN397.tar.gz", "one")
    put(layout.root / "archives/other.zip", "no part of it")
    before = look(layout, source)
    put(layout.root / "archives/other.zip", "changed")
    assert look(layout, source) == before
    put(layout.root / "archives/SUN397.tar.gz", "two")
    assert look(layout, source) != before
    assert look(layout, Dataset(source="digits")) is None


def test_a_local_imagenet(layout):
    source = Dataset(source={"kind": "mini_imagenet", "imagenet": str(layout.root / "train")})
    content = bytes(range(256)) * 100
    for name in ("n01/1.JPEG", "n02/2.JPEG"):
        (layout.root / "train" / name).parent.mkdir(parents=True)
        (layout.root / "train" / name).write_bytes(content)
    before = look(layout, source)
    os.utime(layout.root / "train/n01/1.JPEG", (1, 1))
    assert look(layout, source) == before
    (layout.root / "train/n01/1.JPEG").write_bytes(content[:-1] + b"x")
    assert look(layout, source) != before


def test_a_copy_that_dvc_works_in_finds_the_projects_images(layout):
    copy = layout.root / ".dvc/tmp/exps/standalone/tmpxyz"
    copy.mkdir(parents=True)
    assert contents(dataset(), Layout(copy), "mine") == look(layout)
    put(copy / "imgs/a/1.jpg", "its own")
    assert contents(dataset(), Layout(copy), "mine") != look(layout)


def test_settings_hold_no_paths():
    one = dataset("here", depth=2)
    other = dataset("/there", depth=2)
    assert settings(one) == settings(other) == {"source": {"kind": "folder", "depth": 2}}
    sun = Dataset(source={"kind": "sun397", "directory": "/x", "partition": 2}, labelled=True)
    assert settings(sun) == {"source": {"kind": "sun397", "partition": 2}, "labelled": True}
    # whether there must be classes decides how a folder is read, and nothing else that is read
    assert source_settings(one) == {"kind": "folder", "depth": 2, "labelled": True}
    assert source_settings(sun) == {"kind": "sun397", "partition": 2}


def test_a_toy_source_takes_its_settings_and_its_reader(monkeypatch, tmp_path):
    class Toy(Source):
        kind: Literal["toy"] = "toy"
        shade: int = 7

    Toy.__module__ = "sslpipe.schema.sources.toy"
    module = types.ModuleType("sslpipe.data.sources.toy")
    module.toy = lambda source, root: iter([(f"all/a/{source.shade}", b"x")])
    monkeypatch.setitem(sys.modules, module.__name__, module)
    source = Toy(shade=9)
    assert list(reader(source)(source, tmp_path)) == [("all/a/9", b"x")]
    assert module_of(source) == "data.sources.toy"
    assert source.watched(tmp_path.joinpath) is None and not source.MAY_BE_SHOWN
