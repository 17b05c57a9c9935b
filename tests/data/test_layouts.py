"""What a person would read in the names of folders, or a refusal."""

import unicodedata
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslpipe.data.sources.layouts import read
from sslpipe.data.sources.split_names import is_filler, is_mask, is_unlabelled, split_name
from sslpipe.errors import UserError
from sslpipe.schema.sources.folder import Folder


def reading(names, *, labelled=True, table=None, **given_settings):
    return read(names, Folder(path="x", **given_settings), labelled=labelled, table=table)


def classes(top, names="abc", number=2):
    return [f"{top}/{name}/{i}.jpg".removeprefix("/") for name in names for i in range(number)]


def placed(names, **given_settings):
    """Given name → split/class."""
    members = reading(names, **given_settings).members
    return {name: member.rsplit("/", member.count("/") - 1)[0] for member, name in members.items()}


def counts(names, **given_settings):
    """split/class → images."""
    found = {}
    for member in reading(names, **given_settings).members:
        key = "/".join(member.split("/")[:2])
        found[key] = found.get(key, 0) + 1
    return found


def each(*splits, names="abc", number=2):
    return {f"{split}/{name}": number for split, name in product(splits, names)}


CERTAIN = {
    "classes": (classes(""), each("all")),
    "three classes are classes": (
        classes("", ("apple", "pear", "plum")),
        each("all", names=("apple", "pear", "plum")),
    ),
    "below two folders": (classes("Birds-450/Birds 450"), each("all")),
    "splits": (classes("train") + classes("test"), each("train", "test")),
    "any case, any word": (
        classes("Training") + classes("TESTING") + classes("Dev"),
        each("train", "test", "val"),
    ),
    "words around": (
        classes("seg_train/seg_train") + classes("seg_test/seg_test"),
        each("train", "test"),
    ),
    "a word in common": (classes("birds_train") + classes("birds_test"), each("train", "test")),
    "numbers": (classes("train2017") + classes("val2017"), each("train", "val")),
    "each split in a folder of its own": (
        classes("train/images") + classes("test/images"),
        each("train", "test"),
    ),
    "both spellings of one split": (
        classes("train") + classes("val", "a") + ["valid/a/9.jpg"],
        {**each("train"), "val/a": 3},
    ),
    "splits below classes": (
        classes("cat", ("train", "test")) + classes("dog", ("Train", "Test")),
        each("train", "test", names=("cat", "dog")),
    ),
    "a stray beside one top": (
        ["x/sample.png", *classes("x/train"), *classes("x/test")],
        each("train", "test"),
    ),
    "a class called train": (["bus/1.jpg", "train/2.jpg"], {"all/bus": 1, "all/train": 1}),
    "classes with words of splits": (
        classes("", ("train_station", "test_tube", "evaluation_board")),
        each("all", names=("train_station", "test_tube", "evaluation_board")),
    ),
    "one folder in each class": (
        [f"{c}/images/{c}{i}.jpg" for c in "abc" for i in range(2)],
        each("all"),
    ),
    "sub-classes count as their class": (
        [*classes("", "ab"), "a/young/7.jpg"],
        {"all/a": 3, "all/b": 2},
    ),
    "unlabeled": ([*classes("train"), "unlabeled/1.jpg"], {**each("train"), "unlabelled/_": 1}),
    "unlabelled beside classes": (
        [*classes(""), "Unlabelled/1.jpg"],
        {**each("all"), "unlabelled/_": 1},
    ),
    "labelled and unlabelled": (
        classes("labeled/train") + classes("labeled/test") + ["unlabeled/x/1.jpg"],
        {**each("train", "test"), "unlabelled/_": 1},
    ),
    "a flat test has no labels": (
        [*classes("train"), "test1/1.jpg"],
        {**each("train"), "unlabelled/_": 1},
    ),
    "a flat folder beside splits": (
        [*classes("train"), *classes("test"), "seg_pred/seg_pred/1.jpg"],
        {**each("train", "test"), "unlabelled/_": 1},
    ),
    "held-out classes that are not in train": (
        [*classes("train"), "val/images/1.jpg"],
        {**each("train"), "val/images": 1},
    ),
}


@pytest.mark.parametrize("names, expected", CERTAIN.values(), ids=CERTAIN)
def test_what_is_certain_is_read(names, expected):
    assert counts(names) == expected


REFUSED = {
    "sets with the same classes": (
        classes("Set1") + classes("Set2"),
        r"2 classes Set1, Set2 \(source.depth: 1\).*3 classes a, b, c \(source.depth: 2\).*"
        "train: Set1, test: Set2",
    ),
    "classes of classes": (
        classes("animals", ("cat", "dog")) + classes("plants", ("tree", "rose")),
        r"2 classes animals, plants \(source.depth: 1\), "
        r"or 4 classes cat, dog, rose, tree \(source.depth: 2\)",
    ),
    "different depths": (
        ["cat/1.jpg", "dog/black/2.jpg", "dog/brown/3.jpg"],
        r"source.depth: 1.*source.depth: 2",
    ),
    "splits beside a folder": (
        classes("train") + classes("test") + classes("more"),
        r"test, train: split by name, but beside more.*source.splits: \{\}.*train: \[train, more\]",
    ),
    "one split beside a flat folder": (
        [*classes("train"), "extra/1.jpg"],
        "train: split by name, but beside extra",
    ),
    "flat splits beside a flat folder": (
        ["train/1.jpg", "test/2.jpg", "bus/3.jpg"],
        r"test, train: read as splits, in which there are no class folders.*splits: \{\}",
    ),
    "public and private as classes": (
        ["public/1.jpg", "private/2.jpg"],
        r"private, public: read as splits, in which there are no class folders.*source.splits: \{\}",
    ),
    "flat splits": (["train2017/1.jpg", "val2017/2.jpg"], "labelled: false"),
    "no folder": (["1.jpg", "2.jpg"], "no class folders: expected <class>/<file>.*labelled: false"),
    "masks": (
        [f"{c}/{k}/{i}.png" for c in "ab" for k in ("images", "masks") for i in range(2)],
        r"a/masks, b/masks: .*source.exclude: \['\*/masks/\*'\]",
    ),
    "images and masks": (
        ["x/images/1.jpg", "x/masks/1.jpg"],
        r"masks would be a class; .*exclude: \['masks/\*', '\*/masks/\*'\]",
    ),
    "split and class in one name": (
        [f"{s}_{c}/1.jpg" for s in ("train", "test") for c in ("cat", "dog")],
        r"split and class in one name, or classes\?.*source.splits: \{\}",
    ),
    "splits in folds": (
        [f"{f}/{s}/{c}/1.jpg" for f in ("fold1", "fold2") for s in ("train", "test") for c in "ab"],
        r"2 classes fold1, fold2 \(source.depth: 1\)",
    ),
    "sizes with splits": (
        [f"{size}/train/{c}/1.jpg" for size in ("224", "512") for c in "ab"],
        r"2 classes 224, 512 \(source.depth: 1\)",
    ),
    "a split in a class folder with images": (
        ["cat/1.jpg", "cat/2.jpg", "cat/test/3.jpg", "dog/4.jpg"],
        "cat/test: splits by name, in class folders that hold images too",
    ),
    "masks beside splits": (
        [*classes("train"), *classes("test"), "masks/1.png"],
        r"masks beside test, train: no split; .*exclude: \['masks/\*'",
    ),
    "images and labels of splits": (
        [f"{k}/{s}/1.png" for k in ("images", "labels") for s in ("train", "val")],
        "images, labels: labels would be a class",
    ),
    "images and masks in splits": (
        [f"{s}/{k}/1.png" for k in ("images", "masks") for s in ("train", "val")],
        "images, masks: masks would be a class",
    ),
    "kinds of files": (["jpgs/1.jpg", "pngs/1.png"], "jpgs, pngs: names of no classes"),
    "case": (["Cat/1.jpg", "cat/2.jpg", "dog/3.jpg"], "'Cat' and 'cat' differ only in case"),
    "case across splits": (
        ["train/Cat/1.jpg", "train/dog/1.jpg", "test/cat/2.jpg"],
        "differ only in case",
    ),
    "control": (["a/new\nline.jpg", "b/1.jpg"], "control character"),
    "class _": (["_/1.jpg", "a/2.jpg"], "_/1.jpg: a class folder cannot be called _"),
    "twice": (
        ["x/1.jpg", unicodedata.normalize("NFD", "é/1.jpg"), "é/1.jpg"],
        "the same image twice",
    ),
}


@pytest.mark.parametrize("names, message", REFUSED.values(), ids=REFUSED)
def test_what_is_not_certain_is_refused_in_one_line(names, message):
    with pytest.raises(UserError, match=message) as caught:
        reading(names)
    assert "\n" not in str(caught.value)


def test_settings_choose():
    sets = classes("Set1") + classes("Set2")
    assert counts(sets, splits={"train": "Set1", "test": "Set2"}) == each("train", "test")
    assert counts(sets, depth=2) == each("all", number=4)
    assert counts(sets, depth=1) == each("all", names=("Set1", "Set2"), number=6)
    assert counts(["public/1.jpg", "private/2.jpg"], splits={}) == {
        "all/public": 1,
        "all/private": 1,
    }
    joined = classes("train") + classes("test") + classes("more")
    assert counts(joined, splits={"train": ["train", "more"], "test": "test"}) == {
        **each("train", number=4),
        **each("test"),
    }
    masks = [f"{c}/{k}/{i}.png" for c in "ab" for k in ("images", "masks") for i in range(2)]
    assert counts(masks, exclude=["*/masks/*"]) == each("all", names="ab")
    assert counts(masks, include=["a/*", "b/im*"], depth=1) == {"all/a": 4, "all/b": 2}


def test_what_the_settings_leave_out_is_counted():
    found = reading(classes("train") + classes("extra"), splits={"train": "train"})
    assert found.left_out == {"images in folder extra, which source.splits does not name": 6}
    with pytest.raises(UserError, match=r"no top folder 'Train'.*there are: train"):
        reading(classes("train"), splits={"train": "Train"})
    found = reading(classes("", "ab"), exclude=["b/*"])
    assert found.left_out == {"images that source.exclude names": 2}


def test_patterns_and_splits_in_any_unicode_form():
    nfd = unicodedata.normalize("NFD", "é")
    names = [f"{nfd}/1.jpg", "a/1.jpg", "b/1.jpg"]
    assert counts(names, exclude=["é/*"]) == {"all/a": 1, "all/b": 1}
    names = [f"{nfd}/a/1.jpg", f"{nfd}/b/1.jpg", "t/a/1.jpg", "t/b/1.jpg"]
    assert counts(names, splits={"train": nfd, "test": "t"}) == each(
        "train", "test", names="ab", number=1
    )


def test_settings_that_leave_nothing_are_named():
    with pytest.raises(
        UserError, match=r"source\.include and source\.exclude leave none of 6 images"
    ):
        reading(classes(""), exclude=["*"])
    with pytest.raises(UserError, match=r"source\.depth: 4: no image lies below so many folders"):
        reading(classes(""), depth=4)


def test_unicode_forms_of_a_name_are_one_class():
    nfc, nfd = "Café", unicodedata.normalize("NFD", "Café")
    assert counts([f"train/{nfc}/1.jpg", f"test/{nfd}/2.jpg", "train/b/1.jpg", "test/b/1.jpg"]) == {
        "train/Café": 1, "test/Café": 1, "train/b": 1, "test/b": 1,
    }  # fmt: skip


def test_unlabelled_sets_need_no_class_folders():
    assert counts(["1.jpg", "2.jpg"], labelled=False) == {"all/_": 2}
    assert counts([*classes("a/b"), "x/1.jpg"], labelled=False) == {"all/a": 6, "all/x": 1}
    assert counts(["train2017/1.jpg", "val2017/2.jpg"], labelled=False) == {
        "train/_": 1,
        "val/_": 1,
    }


def test_a_table_gives_labels():
    names = ["images/1.jpg", "images/2.jpg", "images/3.jpg"]
    table = {"images/1.jpg": ("cat", ""), "images/2.jpg": ("dog", "test")}
    assert counts(names, table=table) == {"all/cat": 1, "test/dog": 1, "unlabelled/_": 1}
    names = ["train/1.jpg", "train/2.jpg", "test/9.jpg"]
    table = {"train/1.jpg": ("cat", ""), "train/2.jpg": ("dog", "")}
    assert counts(names, table=table) == {"train/cat": 1, "train/dog": 1, "unlabelled/_": 1}


# --- by property ------------------------------------------------------------------------------

SPELLINGS = {
    "train": [
        "train",
        "Train",
        "TRAIN",
        "training",
        "Training_set",
        "seg_train",
        "train_images",
        "train2017",
        "01_train",
        "TrainSet",
    ],
    "val": ["val", "valid", "Validation", "dev", "VAL", "val_data"],
    "test": ["test", "Test", "testing", "eval", "test1", "images-test", "TestSet"],
    "public": ["public", "Public"],
    "private": ["private", "PRIVATE"],
}
letters = st.characters(categories=("Ll", "Lu", "Lo", "Nd"), exclude_characters="_")
plain = (
    st.text(letters, min_size=1, max_size=8)
    .map(lambda name: unicodedata.normalize("NFC", name))
    .filter(lambda name: split_name(name) is None and not is_mask(name))
    .filter(lambda name: not is_unlabelled(name) and not is_filler(name))
)
class_names = st.lists(
    plain, min_size=2, max_size=4, unique_by=lambda name: name.casefold().strip()
)


@st.composite
def sensible(draw):
    """(given name → (split, class) or None for a stray), laid out as people do."""
    names = draw(class_names)
    per_class = draw(st.integers(1, 3))
    styles = ["classes", "splits", "below"]
    style = draw(st.sampled_from(styles))
    truth = {}
    splits = ["all"]
    if style != "classes":
        splits = draw(st.lists(st.sampled_from(list(SPELLINGS)), min_size=2, unique=True))
    spelled = {split: draw(st.sampled_from(SPELLINGS.get(split, [""]))) for split in splits}
    again = {split: draw(st.booleans()) and style == "splits" for split in splits}
    for split, name, number in product(splits, names, range(per_class)):
        parts = {
            "classes": [name],
            "splits": [spelled[split], *([spelled[split]] if again[split] else []), name],
            "below": [name, spelled[split]],
        }[style]
        truth["/".join([*parts, f"{number}.jpg"])] = (split, name)
    if style == "splits" and draw(st.booleans()):
        truth["unlabeled/1.jpg"] = ("unlabelled", "_")
    if draw(st.booleans()):
        truth["stray.jpg"] = None
    for _ in range(draw(st.integers(0, 2))):
        wrapper = draw(plain)
        truth = {f"{wrapper}/{name}": place for name, place in truth.items()}
    return truth


@settings(max_examples=300, deadline=None)
@given(sensible())
def test_a_sensible_layout_is_read_as_meant(truth):
    found = reading(truth)
    places = {name: tuple(member.split("/")[:2]) for member, name in found.members.items()}
    assert places == {name: place for name, place in truth.items() if place is not None}
    assert len(found.members) + found.left_out.total() == len(truth)


WORDS = [
    "train",
    "Test",
    "val",
    "images",
    "masks",
    "cat",
    "dog",
    "Cat",
    "unlabeled",
    "x",
    "train_x",
    "0",
]
trees = st.lists(
    st.lists(st.sampled_from(WORDS), max_size=4).map("/".join), min_size=1, max_size=12
).map(lambda folders: [f"{folder}/{i}.jpg".removeprefix("/") for i, folder in enumerate(folders)])


def outcome(names, **given_settings):
    try:
        return reading(names, **given_settings)
    except UserError as error:
        assert "\n" not in str(error)
        return None


@settings(max_examples=500, deadline=None)
@given(trees, st.booleans(), st.randoms())
def test_any_tree_is_read_or_refused_and_nothing_is_lost(names, labelled, random):
    found = outcome(names, labelled=labelled)
    shuffled = list(names)
    random.shuffle(shuffled)
    again = outcome(shuffled, labelled=labelled)
    assert (found is None) == (again is None)
    if found is None:
        return
    assert found.members == again.members
    assert sorted(found.members.values()) == sorted(set(found.members.values()))
    assert len(found.members) + found.left_out.total() == len(names)
    for member, name in found.members.items():
        _split, class_name, _file = member.split("/", 2)
        assert class_name == "_" or class_name in name.split("/")[:-1]


@settings(max_examples=200, deadline=None)
@given(trees, plain)
def test_a_folder_around_all_changes_nothing(names, wrapper):
    bare, wrapped = outcome(names), outcome([f"{wrapper}/{name}" for name in names])
    if bare is not None and bare.members:
        assert wrapped is not None
        assert {m: f"{wrapper}/{n}" for m, n in bare.members.items()} == wrapped.members
