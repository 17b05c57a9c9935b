"""The page on a data set says what its index holds; counted again here, with pandas."""

import re

import numpy as np
import pandas as pd
import pytest

from sslpipe.data.index import Entry, Index
from sslpipe.data.splits import SPLITS
from sslpipe.reporting.datasets import page
from sslpipe.schema.data import Dataset
from sslpipe.schema.sources import SOURCE_KINDS

FOLDER = {"kind": "folder", "path": "secret/place"}


def index_of(*images: dict) -> Index:
    """Images as {split, class_name, name, pixels, size, error}, all optional."""
    names = sorted({image["class_name"] for image in images if image.get("class_name")})
    packed, unreadable = [], []
    for i, image in enumerate(images):
        class_name, error = image.get("class_name", ""), image.get("error", "")
        label = names.index(class_name) if class_name else -1
        width, height = (0, 0) if error else image.get("size", (40, 30))
        place = unreadable if error else packed
        pixels = "" if error else image.get("pixels", f"{i:064x}")
        place.append(
            Entry(-1, image.get("split", "train"), label, class_name, image.get("name", f"all/{i}"),
                  pixels, f"{i:064x}", width, height, "0" * 16, error)
        )  # fmt: skip
    packed.sort(key=lambda entry: SPLITS.index(entry.split))
    packed = [entry._replace(row=row) for row, entry in enumerate(packed)]
    return Index(tuple(packed), tuple(unreadable))


def made(index, image_size=32, sheet=None, source=FOLDER, **settings):
    dataset = Dataset(source=source, labelled=bool(index.classes), **settings)
    return page("zoo", dataset, index, image_size, sheet)


def section(text, heading):
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def table(text):
    """The first pipe table: a list of cells for each row, the heading first."""
    (first, *_) = re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE)
    rows = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in first.splitlines()]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert len({len(row) for row in cells}) == 1
    return [cells[0], *cells[2:]]


def labelled(classes, images, seed=0):
    """A skewed set with some class missing here and there, and sizes of every kind."""
    draw = np.random.default_rng(seed)
    for i in range(images):
        yield {
            "class_name": f"{int(classes * draw.random() ** 1.5):03}",
            "split": str(draw.choice(SPLITS, p=[0.7, 0.05, 0.15, 0.1])),
            "name": f"all/{i}.jpg",
            "size": (int(draw.integers(20, 90)), int(draw.integers(25, 60))),
        }


def test_numbers_of_a_labelled_set():
    images = pd.DataFrame(labelled(classes=9, images=700))
    text = made(index_of(*images.to_dict("records")))
    splits = images["split"].value_counts()
    present = images.groupby("split")["class_name"].nunique()
    assert table(section(text, "Images")) == [
        ["", *SPLITS, "all"],
        ["images", *(str(splits[split]) for split in SPLITS), "700"],
        ["classes", *(str(present[split]) for split in SPLITS), "9"],
    ]
    counts = pd.crosstab(images["class_name"], images["split"])[list(SPLITS)]
    counts["all"] = counts.sum(axis=1)
    expected = [[f"`{name}`", *map(str, row)] for name, *row in counts.itertuples()]
    assert table(section(text, "Classes")) == [["class", *SPLITS, "all"], *expected]
    assert "700 images of 32×32 pixels, packed with `resize: squash`." in text


def test_classes_in_a_table_are_counted_where_they_occur():
    text = made(
        index_of(
            {"class_name": "a"},
            {"class_name": "b"},
            {"class_name": "b", "split": "val"},
            {"class_name": "c", "split": "public"},
            {"class_name": "d", "split": "private", "error": "broken"},
        )
    )
    assert table(section(text, "Images"))[2] == ["classes", "2", "1", "1", "0", "3"]
    assert table(section(text, "Classes"))[4] == ["`d`", "0", "0", "0", "0", "0"]


def test_balance():
    """Shares 1/2, 1/4, 1/8, 1/8: entropy 1.75 ln 2, so 2^1.75 effective classes."""
    counts = {"a": 2, "b": 8, "c": 4, "d": 2}
    index = index_of(
        *({"class_name": name} for name, count in counts.items() for _ in range(count)),
        *({"class_name": "a", "split": "public"} for _ in range(99)),
    )
    said = section(made(index), "Classes")
    assert "the largest class, `b`, has 8 images, the median class 3, the smallest, `a`, 2;" in said
    assert "ratio of largest to smallest is 4.00." in said
    assert f"effective number of classes is {2**1.75:.1f} of 4 " in said


def test_a_balanced_set_says_so():
    index = index_of(*({"class_name": name} for name in "aabbcc"))
    assert "Balanced: each class has 2 images in train." in made(index)


def test_classes_that_a_split_lacks_are_named():
    everywhere = [{"class_name": name, "split": s} for name in "xy" for s in SPLITS]
    some = [{"class_name": f"k{i}"} for i in range(7)]
    said = section(
        made(index_of(*everywhere, *some, {"class_name": "z", "split": "val"})), "Classes"
    )
    lacking = dict(re.findall(r"(\d+ class(?:es)? without an image in \w+): (.*)\.", said))
    assert lacking == {
        "1 class without an image in train": "`z`",
        "7 classes without an image in val": "`k0`, `k1`, `k2`, `k3`, `k4` and 2 more",
        "8 classes without an image in public": "`k0`, `k1`, `k2`, `k3`, `k4` and 3 more",
        "8 classes without an image in private": "`k0`, `k1`, `k2`, `k3`, `k4` and 3 more",
    }
    assert "the smallest, `z`, 0; the ratio of largest to smallest is ∞" in said


@pytest.mark.parametrize("classes", [30, 31, 1500])
def test_many_classes_are_a_few_rows(classes):
    """Class i has i % 7 + 1 images: many equals, which stand in the order of their names."""
    sizes = {f"{i:04}": i % 7 + 1 for i in range(classes)}
    text = made(index_of(*({"class_name": n} for n, count in sizes.items() for _ in range(count))))
    _, *rows = table(section(text, "Classes"))
    if classes == 30:
        assert [row[0] for row in rows] == [f"`{name}`" for name in sizes]
        return
    order = sorted(sizes, key=lambda name: (-sizes[name], name))
    assert [row[:2] for row in rows[:10]] == [[f"`{n}`", str(sizes[n])] for n in order[:10]]
    assert rows[10] == ["…"] * 6
    assert [row[:2] for row in rows[11:]] == [[f"`{n}`", str(sizes[n])] for n in order[-10:]]
    assert f"{classes:,} classes; here the 10 largest and the 10 smallest in train." in text
    assert len(text) < 6000


def test_sizes():
    images = pd.DataFrame(labelled(classes=3, images=301))
    index = index_of(*images.to_dict("records"), {"class_name": "000", "error": "broken"})
    sizes = pd.DataFrame(images["size"].to_list(), columns=["width", "height"])
    sizes["width / height"] = sizes["width"] / sizes["height"]
    said = section(made(index), "Sizes before resizing")
    head, *rows = table(said)
    assert head == ["", "min", "lower quartile", "median", "upper quartile", "max"]
    assert [row[0] for row in rows] == list(sizes)
    for name, *values in rows:
        expected = sizes[name].quantile([0, 0.25, 0.5, 0.75, 1]).to_list()
        digits = 0.0051 if "/" in name else 0.051
        assert [float(value) for value in values] == pytest.approx(expected, abs=digits)
    smaller = ((sizes["width"] < 32) | (sizes["height"] < 32)).sum()
    assert 0 < smaller < 301
    share = f"{100 * smaller / 301:.1f} %"
    assert f"Enlarged, as a side is below 32 pixels: {smaller} images ({share})." in said


@pytest.mark.parametrize(
    "size, enlarged", [((32, 32), "0 images (0.0 %)"), ((31, 99), "2 images (100.0 %)")]
)
def test_one_size_needs_no_table(size, enlarged):
    said = section(made(index_of({"size": size}, {"size": size})), "Sizes before resizing")
    assert f"All images have {size[0]}×{size[1]} pixels." in said
    assert f": {enlarged}." in said
    assert "|" not in said


def test_numbers_stand_as_they_are_written():
    said = section(
        made(index_of({"size": (1000, 1000)}, {"size": (3000, 1500)})), "Sizes before resizing"
    )
    assert table(said)[1:] == [
        ["width", "1,000", "1,500", "2,000", "2,500", "3,000"],
        ["height", "1,000", "1,125", "1,250", "1,375", "1,500"],
        ["width / height", "1.00", "1.25", "1.50", "1.75", "2.00"],
    ]


def test_an_unlabelled_set_has_no_classes():
    text = made(index_of({}, {}, {"split": "val"}))
    assert table(section(text, "Images")) == [
        ["", *SPLITS, "all"],
        ["images", "2", "1", "0", "0", "3"],
    ]
    assert "## Classes" not in text


def test_unreadable_images_are_named():
    index = index_of({}, {"name": "all/x.jpg", "error": "truncated"}, {"name": "y", "error": "?"})
    said = section(made(index), "Unreadable images")
    assert table(said) == [["image", "reason"], ["`all/x.jpg`", "`truncated`"], ["`y`", "`?`"]]
    assert "2 images, left out of all other numbers" in said
    assert "more" not in said
    assert table(section(made(index), "Images"))[1][-1] == "1"
    assert "None." in section(made(index_of({})), "Unreadable images")


@pytest.mark.parametrize("count, more", [(50, None), (51, 1), (1234, 1184)])
def test_of_many_unreadable_images_fifty_are_named(count, more):
    broken = ({"name": f"{i:04}", "error": "bad"} for i in range(count))
    said = section(made(index_of({}, *broken)), "Unreadable images")
    assert [row[0] for row in table(said)[1:]] == [f"`{i:04}`" for i in range(50)]
    last = f"And {more:,} more, see the index." if more else "|"
    assert said.rstrip().endswith(last)


def test_equal_images():
    same = {"one": "1" * 64, "two": "2" * 64, "three": "3" * 64}
    index = index_of(
        {"name": "a", "pixels": same["one"]},
        {"name": "b", "pixels": same["one"]},
        {"name": "c", "pixels": same["two"]},
        {"name": "d", "pixels": same["two"], "split": "private"},
        *({"name": f"e{i}", "pixels": same["three"]} for i in range(7)),
        {"name": "alone"},
    )
    said = section(made(index), "Equal images")
    assert "3 groups of images with the same packed pixels, 11 images in all; 1 of the" in said
    assert table(said) == [
        ["images", "split and name"],
        ["2", "train `c`, private `d`"],  # across splits: first
        ["2", "train `a`, train `b`"],
        ["7", "train `e0`, train `e1`, train `e2`, train `e3`, train `e4` and 2 more"],
    ]
    assert "None: no two" in section(made(index_of({}, {})), "Equal images")


def test_of_many_groups_ten_are_shown():
    pairs = ({"pixels": f"{i // 2:064x}", "split": SPLITS[i % 2 * 2]} for i in range(26))
    said = section(made(index_of(*pairs)), "Equal images")
    assert "13 groups of images with the same packed pixels, 26 images in all; 13 of the" in said
    assert len(table(said)) == 1 + 10
    assert said.rstrip().endswith("And 3 more groups.")


def test_settings_that_decide_what_is_packed():
    index = index_of({"class_name": "a"}, {"class_name": "b"})
    text = made(index, image_size=24, resize="crop", max_classes=2, max_images_per_class=5)
    assert (
        "2 images of 24×24 pixels, packed with `resize: crop`, `max_classes: 2`, "
        "`max_images_per_class: 5`."
    ) in text


def test_every_source_has_an_origin():
    for kind in SOURCE_KINDS:
        source = FOLDER if kind == "folder" else kind
        _, origin, *_ = made(index_of({}), source=source).split("\n\n")
        assert "\n" not in origin
        assert f"Source `{kind}`: " in origin and SOURCE_KINDS[kind].ORIGIN.licence in origin
        assert origin.startswith(SOURCE_KINDS[kind].__doc__.split("\n")[0])
        assert SOURCE_KINDS[kind].ORIGIN.homepage.startswith("https://") == (kind != "folder")
        assert "secret/place" not in origin


def test_the_contact_sheet_is_shown_if_there_is_one():
    assert "![Example images of zoo](zoo.png)" in made(index_of({}), sheet="zoo.png")
    assert "![" not in made(index_of({}))


def test_names_from_outside_cannot_break_the_page():
    index = index_of(
        {"class_name": "a|b", "name": "*x*`<b>"},
        {"class_name": "007", "name": "line\nbreak", "pixels": "0" * 64},
        {"class_name": "1e5", "name": "tick`", "error": "bad | `` worse\n\n# heading"},
    )
    text = made(index)
    names = [row[0] for row in table(section(text, "Classes"))[1:]]
    assert names == ["`007`", "`1e5`", r"`a\|b`"]
    assert table(section(text, "Unreadable images"))[1] == [
        "`` tick` ``",
        r"``` bad \| `` worse��# heading ```",
    ]
    assert re.findall("^# .*", text, flags=re.MULTILINE) == ["# zoo"]
    assert "train `line�break`" in text


def test_the_same_index_gives_the_same_bytes():
    images = list(labelled(classes=40, images=400))
    assert made(index_of(*images)) == made(index_of(*images))


def test_numbers_of_classes_that_pictures_may_not_name():
    index = index_of(*({"class_name": name} for name in ("a", "é", "猫", "`犬|")))
    assert "pictures show a number: class 0 is `` `犬| ``, class 3 is `猫`." in made(index)
    plain = index_of(*({"class_name": name} for name in ("a", "é")))
    assert "pictures" not in made(plain)
