"""Labels from a table."""

import pytest

from sslpipe.data.sources.tables import columns, labels_of
from sslpipe.errors import UserError
from sslpipe.schema.sources.folder import LabelTable

IMAGES = ["images/1.jpg", "images/2.jpg", "images/deep/3.jpg"]


def read(text, images=IMAGES, **named):
    content = text if isinstance(text, bytes) else text.encode()
    return labels_of(content, LabelTable(table="labels.csv", **named), images)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize(
    "named",
    [
        IMAGES,
        ["1.jpg", "2.jpg", "3.jpg"],
        ["1", "2", "3"],
        ["images\\1.jpg", "./images/2.jpg", "deep/3"],
    ],
)
@pytest.mark.parametrize(
    "header", [("id", "label"), ("Image Name", "Class"), ("filename", "breed")]
)
def test_names_columns_and_delimiters(delimiter, named, header):
    rows = [header, *zip(named, ["cat", "dog", "big  cat"], strict=True)]
    text = "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows) + "\r\n"
    found, notes = read(text)
    assert found == dict(zip(IMAGES, [("cat", ""), ("dog", ""), ("big cat", "")], strict=True))
    assert notes == [f"labels from labels.csv: columns {header[0]}, {header[1]}"]


def test_splits_and_named_columns():
    text = "a,b,c,d\n1.jpg,x,cat,Training\n2.jpg,y,dog,test_set\n"
    found, _ = read(text, image="a", label="c", split="d")
    assert found == {"images/1.jpg": ("cat", "train"), "images/2.jpg": ("dog", "test")}
    with pytest.raises(UserError, match=r"line 2: no split is called 'x'"):
        read(text, image="a", label="c", split="b")
    with pytest.raises(UserError, match=r"no column 'z' \(label\); there are: a, b, c, d"):
        read(text, image="a", label="z")


def test_lines_that_name_no_image_are_said():
    found, notes = read("id,label\n1,cat\n9,dog\n")
    assert found == {"images/1.jpg": ("cat", "")}
    assert notes[1] == "1 lines of labels.csv name no image: 9"


@pytest.mark.parametrize(
    "text, message",
    [
        ("id,label\n7,cat\n8,dog\n", "none of its 2 lines names an image, such as 7, 8"),
        ("x,z\n1,cat\n", r"which columns are the image and its label\? There are: x, z"),
        ("id,label,class\n1,cat,dog\n", "which columns"),
        ("id,label\n1,cat,more\n", "line 2: 3 columns instead of 2"),
        ("id,label\n1,\n", "line 2: the label is ''"),
        ("id,label\n1,cat\n1.jpg,dog\n", "1.jpg has two labels: cat, dog"),
        ("one column\n1\n", "not a table"),
        ("", "not a table"),
        (b"id,label\n1,caf\xe9\n", "not UTF-8"),
    ],
)
def test_what_is_not_clear_is_one_line(text, message):
    with pytest.raises(UserError, match=message) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_equal_names_in_two_folders_need_the_folder():
    images = ["train/1.jpg", "test/1.jpg"]
    with pytest.raises(UserError, match=r"line 2: 1.jpg may be test/1.jpg, train/1.jpg"):
        read("id,label\n1.jpg,cat\n", images)
    assert read("id,label\ntrain/1,cat\n", images)[0] == {"train/1.jpg": ("cat", "")}


def test_the_header_for_a_message():
    assert columns(b"id,label\n1,cat\n") == ["id", "label"]
    assert columns(b"no table") == []
