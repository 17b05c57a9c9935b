"""The CSV index and the packed images it describes."""

import hashlib

import numpy as np
import pytest

from sslpipe.data import index as index_module
from sslpipe.data.index import COLUMNS, Entry, open_packed, read_index, write_index
from sslpipe.errors import UserError
from sslpipe.layout import Layout

HASHES = [hashlib.sha256(bytes(8 * 8 * 3)).hexdigest()] * 9
SEEN = 640, 480, "0123456789abcdef"
FILES = [f"{i:064x}" for i in range(100, 109)]
ENTRIES = [
    Entry(0, "train", 1, "dog", 'all/dog/1, "é".jpg', HASHES[0], FILES[0], *SEEN, ""),
    Entry(1, "train", 0, "cat", "all/cat/2.jpg", HASHES[1], FILES[1], *SEEN, ""),
    Entry(2, "public", 1, "dog", "all/dog/3.jpg", HASHES[2], FILES[2], *SEEN, ""),
    Entry(3, "private", 0, "cat", "all/cat/4.jpg", HASHES[3], FILES[3], 9, 9, "", ""),
    Entry(
        -1,
        "train",
        2,
        "emu",
        "all/emu/5.jpg",
        "",
        FILES[4],
        0,
        0,
        "",
        "OSError: image file is truncated",
    ),
]


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path)
    write_index(layout.packed_index("x"), ENTRIES)
    np.save(layout.packed_images("x"), np.zeros((4, 8, 8, 3), np.uint8))
    return layout


def test_what_is_written_is_read(layout):
    index = read_index(layout.packed_index("x"))
    assert list(index.entries + index.unreadable) == ENTRIES
    assert len(index) == 4
    assert len(index.unreadable) == 1


def test_each_split_is_a_slice(layout):
    index = read_index(layout.packed_index("x"))
    slices = [index.split_slice(s) for s in ("train", "val", "public", "private")]
    assert slices == [slice(0, 2), slice(2, 2), slice(2, 3), slice(3, 4)]
    assert index.labels("train").tolist() == [1, 0]
    assert index.labels("train").dtype == np.int64
    assert index.split_entries("public") == (ENTRIES[2],)
    assert index.split_entries("val") == ()
    assert index.all_labels.tolist() == [1, 0, 1, 0]
    assert index.all_splits.tolist() == ["train", "train", "public", "private"]


def test_classes_include_those_of_unreadable_images(layout):
    assert read_index(layout.packed_index("x")).classes == ("cat", "dog", "emu")


def test_unlabelled(tmp_path):
    write_index(
        tmp_path / "u.csv",
        [Entry(0, "train", -1, "", "all/_/1.jpg", HASHES[0], FILES[0], *SEEN, "")],
    )
    index = read_index(tmp_path / "u.csv")
    assert index.classes == ()
    assert index.all_labels.tolist() == [-1]


def test_the_file_is_what_is_documented(layout):
    lines = layout.packed_index("x").read_bytes().decode().split("\n")
    assert lines[0] == (
        "row,split,label,class_name,source_name,sha256,file_sha256,width,height,phash,error"
    )
    assert (
        lines[2] == f"1,train,0,cat,all/cat/2.jpg,{HASHES[1]},{FILES[1]},640,480,0123456789abcdef,"
    )


def sealed(text):
    return f"{text}# sha256 {hashlib.sha256(text.encode()).hexdigest()}\n"


def line(*changes, of=1):
    fields = [str(value) for value in ENTRIES[of]]
    for column, value in changes:
        fields[COLUMNS.index(column)] = value
    return fields


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda rows: rows.clear(), "line 1: the columns"),
        (lambda rows: rows.pop(0), "line 1: the columns"),
        (lambda rows: rows.__setitem__(slice(1, None), []), "no images"),
        (lambda rows: rows[2].pop(), "line 3: 10 columns"),
        (lambda rows: rows[2].__setitem__(0, "one"), "line 3: row, label"),
        (lambda rows: rows[2].__setitem__(1, "trian"), "line 3: split 'trian'"),
        (lambda rows: rows[2].__setitem__(5, "abc"), "line 3: not a sha256"),
        (lambda rows: rows[2].__setitem__(6, "abc"), "line 3: not a sha256"),
        (lambda rows: rows[5].__setitem__(6, ""), "line 6: not a sha256"),
        (lambda rows: rows[2].__setitem__(10, "bad"), "line 3: row -1 and an error"),
        (lambda rows: rows[5].__setitem__(10, ""), "line 6: row -1 and an error"),
        (lambda rows: rows[2].__setitem__(7, "wide"), "line 3: row, label, width"),
        (lambda rows: rows[2].__setitem__(9, "xyz"), "line 3: not a perceptual hash"),
        (lambda rows: rows.pop(2), "rows must be 0, 1, 2"),
        (lambda rows: rows[2].__setitem__(1, "private"), "order train, val"),
        (lambda rows: rows[2].__setitem__(2, "1"), "label 1 of class 'cat'"),
        (lambda rows: rows[2].__setitem__(3, ""), "label 0 of class ''"),
    ],
)
def test_malformed_indexes_are_one_clear_line(tmp_path, change, message):
    rows = [list(COLUMNS), *([str(value) for value in entry] for entry in ENTRIES)]
    rows[1][4] = "all/dog/1.jpg"
    change(rows)
    path = tmp_path / "x.csv"
    path.write_text(sealed("".join(",".join(row) + "\n" for row in rows)))
    with pytest.raises(UserError, match=message) as caught:
        read_index(path)
    assert "sslpipe subset x" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_changed_byte_anywhere_is_noticed(layout):
    path = layout.packed_index("x")
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(UserError, match=r"malformed"):
            read_index(path)
    for end in range(0, len(content), 7):
        path.write_bytes(content[:end])
        with pytest.raises(UserError, match="malformed"):
            read_index(path)


def test_changed_pixels_are_noticed_where_they_are_asked_for(layout, monkeypatch):
    monkeypatch.setattr(index_module, "BLOCK", 2)
    path = layout.packed_images("x")
    images = np.load(path)
    images[3, 7, 7, 2] ^= 1
    np.save(path, images)
    with pytest.raises(UserError, match=r"x\.npy: image 3 is not what was packed"):
        open_packed(layout, "x")
    assert len(open_packed(layout, "x", check=False)[0]) == 4


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"row\xff\xfe")
    with pytest.raises(UserError, match="malformed"):
        read_index(tmp_path / "x.csv")


def test_open_packed(layout):
    images, index = open_packed(layout, "x")
    assert isinstance(images, np.memmap)
    assert images.shape == (4, 8, 8, 3)
    assert len(index) == 4


@pytest.mark.parametrize(
    "images, message",
    [
        (np.zeros((3, 8, 8, 3), np.uint8), "3 images, but 4 in"),
        (np.zeros((4, 8, 9, 3), np.uint8), "expected uint8"),
        (np.zeros((4, 8, 8, 1), np.uint8), "expected uint8"),
        (np.zeros((4, 8, 8, 3), np.float32), "expected uint8"),
        (np.zeros(4, np.uint8), "expected uint8"),
    ],
)
def test_images_that_do_not_fit_the_index(layout, images, message):
    np.save(layout.packed_images("x"), images)
    with pytest.raises(UserError, match=message):
        open_packed(layout, "x")


def test_missing_and_broken_files_name_the_stage_that_makes_them(layout):
    whole = layout.packed_images("x").read_bytes()
    for content in (b"", b"no array", whole[:-1]):
        layout.packed_images("x").write_bytes(content)
        with pytest.raises(UserError, match=r"malformed .*sslpipe subset x"):
            open_packed(layout, "x")
    layout.packed_images("x").unlink()
    with pytest.raises(UserError, match=r"x\.npy: missing; it is made by: sslpipe subset x"):
        open_packed(layout, "x")
    layout.packed_index("x").unlink()
    with pytest.raises(UserError, match=r"x\.csv: missing; it is made by: sslpipe subset x"):
        open_packed(layout, "x")
