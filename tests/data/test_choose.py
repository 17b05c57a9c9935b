"""Labels, splits and limits."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslpipe.data.choose import choose
from sslpipe.data.raw import Member
from sslpipe.data.splits import SPLITS, assign, share
from sslpipe.errors import UserError
from sslpipe.schema.data import Dataset

SOURCE = {"kind": "folder", "path": "x"}


def dataset(**settings):
    return Dataset(source=SOURCE, **settings)


def members(names):
    return [Member(name, 0, 0) for name in names]


MANY = [f"all/{c}/{i:03}.jpg" for c in ("b", "a", "c") for i in range(200)]


def test_choices_are_sorted_by_split_then_name_and_labelled_by_sorted_class():
    chosen = choose(members(MANY), dataset())
    keys = [(SPLITS.index(choice.split), choice.member.name) for choice in chosen]
    assert keys == sorted(keys)
    assert {(c.class_name, c.label) for c in chosen} == {("a", 0), ("b", 1), ("c", 2)}
    assert all(choice.member.name.split("/")[1] == choice.class_name for choice in chosen)
    assert sorted(choice.member.name for choice in chosen) == sorted(MANY)


def test_max_classes_keeps_the_first_in_alphabetical_order():
    chosen = choose(members(MANY), dataset(max_classes=2))
    assert {choice.class_name for choice in chosen} == {"a", "b"}
    assert len(chosen) == 400


def test_max_images_per_class_limits_train_images_alone():
    everything = choose(members(MANY), dataset())
    limited = choose(members(MANY), dataset(max_images_per_class=20))
    assert Counter(c.class_name for c in limited if c.split == "train") == dict.fromkeys("abc", 20)
    assert [c for c in limited if c.split != "train"] == [
        c for c in everything if c.split != "train"
    ]
    assert set(limited) <= set(everything)


def test_max_images_per_class_grows_by_adding():
    smaller, larger = (
        {c.member.name for c in choose(members(MANY), dataset(max_images_per_class=n))}
        for n in (20, 40)
    )
    assert smaller < larger


def test_max_images_per_class_takes_neither_the_first_names_nor_the_lowest_split_hashes():
    everything = [c.member.name for c in choose(members(MANY), dataset()) if c.split == "train"]
    limited = choose(members(MANY), dataset(max_images_per_class=20))
    kept = {c.member.name for c in limited if c.split == "train" and c.class_name == "a"}
    of_class = [name for name in everything if name.startswith("all/a")]
    assert len(kept & set(of_class[:20])) < 15
    assert len(kept & set(sorted(of_class, key=share)[:20])) < 15


def test_unlabelled_sets_are_all_train_and_carve_nothing():
    chosen = choose(members(MANY), dataset(labelled=False))
    assert {(c.split, c.label, c.class_name) for c in chosen} == {("train", -1, "")}
    given_splits = members(["test/a/1", "train/a/1", "val/a/1"])
    splits = {c.member.name: c.split for c in choose(given_splits, dataset(labelled=False))}
    assert splits["train/a/1"] == "train"
    assert splits["val/a/1"] == "val"
    assert splits["test/a/1"] in ("public", "private")


def test_unlabelled_sets_keep_loose_images_and_obey_limits():
    loose = [f"all/_/{i}.jpg" for i in range(10)]
    assert len(choose(members(loose), dataset(labelled=False))) == 10
    limited = choose(members(MANY), dataset(labelled=False, max_images_per_class=5, max_classes=2))
    assert Counter(c.member.class_name for c in limited) == {"a": 5, "b": 5}


def test_labelled_sets_leave_loose_images_out(capsys):
    chosen = choose(members([*MANY, "all/_/1.jpg"]), dataset())
    assert len(chosen) == len(MANY)
    assert "left out 1 images outside class folders" in capsys.readouterr().err


@pytest.mark.parametrize("names", [[], ["all/_/1.jpg"], ["all/a/1.jpg", "all/a/2.jpg"]])
def test_labelled_sets_need_two_classes(names):
    with pytest.raises(UserError, match="two classes"):
        choose(members(names), dataset())


def test_the_limit_that_leaves_a_single_class_is_named():
    with pytest.raises(UserError, match=r"there are: a \(max_classes: 1\)"):
        choose(members(MANY), dataset(max_classes=1))


@given(st.sets(st.sampled_from(MANY)), st.sets(st.sampled_from(MANY)))
def test_adding_images_moves_no_other(old, more):
    fixed = {"all/a/fixed.jpg", "all/b/fixed.jpg"}
    before = {c.member.name: c.split for c in choose(members(old | fixed), dataset())}
    after = {c.member.name: c.split for c in choose(members(old | more | fixed), dataset())}
    # but for the only training image of a class, which stayed there for want of another
    trained = Counter(name[4] for name, split in before.items() if split == "train")
    alone = {n for n, split in before.items() if split == "train" and trained[n[4]] == 1}
    assert {k: v for k, v in before.items() if k not in alone}.items() <= after.items()


@given(st.lists(st.integers(1, 4), min_size=2, max_size=6), st.integers(0, 50))
def test_a_class_keeps_a_training_image_and_nothing_else_moves(sizes, seed):
    names = [
        f"all/{c}/{seed}_{i}.jpg"
        for c, size in zip("abcdef", sizes, strict=False)
        for i in range(size)
    ]
    settings = dataset()
    drawn = {name: assign(name, "all", {"all"}, settings.splits) for name in names}
    chosen = {c.member.name: c.split for c in choose(members(names), settings)}
    for c in {name[4] for name in names}:
        of_class = [name for name in names if name[4] == c]
        assert any(chosen[name] == "train" for name in of_class)
        moved = [name for name in of_class if chosen[name] != drawn[name]]
        assert len(moved) == (not any(drawn[name] == "train" for name in of_class))


def test_given_held_out_images_stay_where_they_are():
    names = ["train/a/1.jpg", "test/a/1.jpg", "test/b/1.jpg", "train/c/1.jpg"]
    chosen = {c.member.name: c.split for c in choose(members(names), dataset())}
    assert chosen["test/b/1.jpg"] in ("public", "private")
    assert chosen["train/a/1.jpg"] == chosen["train/c/1.jpg"] == "train"


def test_images_without_labels_are_a_split_of_their_own():
    names = [*MANY, "unlabelled/_/1.jpg"]
    chosen = choose(members(names), dataset())
    assert chosen[-1][1:] == ("unlabelled", -1, "")
    assert len(chosen) == len(names)
    assert {c.split for c in choose(members(names), dataset(labelled=False))} == {"train"}
