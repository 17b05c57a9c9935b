"""Which images are held out."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslpipe.data import splits
from sslpipe.errors import UserError
from sslpipe.schema.data import Splits

SHARES = Splits(val=0.1, public=0.2, private=0.3)
NAMES = [f"all/c{i % 3}/{i}.jpg" for i in range(30_000)]


def counted(given_split, given_by_source, names=NAMES, shares=SHARES):
    drawn = Counter(splits.assign(name, given_split, given_by_source, shares) for name in names)
    return {split: drawn[split] / len(names) for split in splits.SPLITS}


def close(shares):
    return pytest.approx(shares, abs=0.012)


def test_without_splits_everything_is_carved():
    expected = {"train": 0.4, "val": 0.1, "public": 0.2, "private": 0.3}
    assert counted("all", {"all"}) == close(expected)
    assert counted("train", {"train"}) == close(expected)


def test_each_class_is_split_alike():
    for class_name in ("c0", "c1", "c2"):
        names = [name for name in NAMES if f"/{class_name}/" in name]
        assert counted("all", {"all"}, names)["private"] == pytest.approx(0.3, abs=0.015)


def test_a_test_split_becomes_public_and_private_and_train_gives_only_val():
    source = {"train", "test"}
    assert counted("test", source) == close({"train": 0, "val": 0, "public": 0.4, "private": 0.6})
    assert counted("train", source) == close({"train": 0.9, "val": 0.1, "public": 0, "private": 0})


def test_a_val_split_is_kept_and_none_is_carved():
    source = {"train", "test", "val"}
    assert counted("train", source)["train"] == 1
    assert counted("val", source)["val"] == 1
    assert counted("train", {"train", "val"}) == close(
        {"train": 0.5, "val": 0, "public": 0.2, "private": 0.3}
    )


def test_public_and_private_stay_as_they_are():
    source = {"train", "public", "private"}
    assert counted("public", source)["public"] == 1
    assert counted("private", source)["private"] == 1
    assert counted("train", source) == close({"train": 0.9, "val": 0.1, "public": 0, "private": 0})


def test_a_share_is_the_sha256_of_the_name():
    digest = hashlib.sha256("all/a/é.jpg".encode()).hexdigest()
    assert splits.share("all/a/é.jpg") == int(digest[:12], 16) / 16**12
    assert splits.share("x", "limit:") != splits.share("x")


@given(st.text(max_size=30), st.sampled_from(["all", "train", "test", "val", "public", "private"]))
def test_one_of_four_splits_for_any_name(name, given_split):
    found = splits.assign(name, given_split, {given_split, "train"}, SHARES)
    assert found in splits.SPLITS
    assert found == splits.assign(name, given_split, {given_split, "train"}, SHARES)
    assert 0 <= splits.share(name) < 1


@given(
    st.text(min_size=1, max_size=20), st.floats(0.01, 0.3), st.floats(0.01, 0.3), st.floats(0, 0.05)
)
def test_a_larger_last_share_only_takes_from_train(name, val, private, more):
    """What is held out stays where it is when the last threshold grows."""
    before = Splits(val=val, public=0.1, private=private)
    after = Splits(val=val, public=0.1, private=private + more)
    old = splits.assign(name, "all", {"all"}, before)
    new = splits.assign(name, "all", {"all"}, after)
    assert new == old or (old, new) == ("train", "private")


def test_empty_splits_of_a_labelled_set_are_refused():
    full = dict.fromkeys([(split, c) for split in splits.SPLITS for c in "ab"], 1)
    splits.check(full)
    for split in splits.SPLITS:
        with pytest.raises(UserError, match=rf"no image is left for {split}:"):
            splits.check({pair: 1 for pair in full if pair[0] != split})


def test_a_set_on_which_no_score_is_possible_is_refused():
    full = dict.fromkeys([(split, c) for split in splits.SPLITS for c in "ab"], 1)
    with pytest.raises(UserError, match="only class a has training images, b has none"):
        splits.check({pair: 1 for pair in full if pair != ("train", "b")})
    for split in ("val", "public", "private"):
        of_another = {pair: 1 for pair in full if pair[0] != split} | {(split, "images"): 12}
        with pytest.raises(
            UserError, match=rf"no class of {split} \(images\) is in train \(a, b\)"
        ):
            splits.check(of_another)


def test_the_refusal_names_all_that_was_never_trained_and_is_the_only_line(capsys):
    trained = {("train", "cat"): 30, ("train", "dog"): 30}
    test = {("public", "unknown"): 6, ("private", "unknown"): 6}
    with pytest.raises(UserError, match=r"no class of test \(unknown\).*leave test out"):
        splits.check(trained | test | {("val", "dog"): 3}, drawn=["val"])
    with pytest.raises(UserError, match=r"no class of val and test \(images, unknown\)"):
        splits.check(trained | test | {("val", "images"): 3})
    with pytest.raises(UserError, match=r"no class of val \(owl\).*more images of each class"):
        drawn = {("val", "owl"): 1, ("public", "cat"): 2, ("private", "cat"): 2}
        splits.check(trained | drawn, drawn=["val", "public", "private"])
    assert capsys.readouterr().err == ""


def test_classes_that_miss_from_a_split_are_said(capsys):
    full = dict.fromkeys([(split, name) for split in splits.SPLITS for name in "abcdefgh"], 3)
    splits.check(full)
    assert capsys.readouterr().err == ""
    splits.check({pair: 3 for pair in full if pair != ("val", "b")})
    assert "1 classes have no image in val: b\n" in capsys.readouterr().err
    splits.check({pair: 3 for pair in full if pair != ("val", "b")}, drawn=["val"])
    assert "in val: b, as each image is drawn by its name alone" in capsys.readouterr().err
    splits.check({pair: 3 for pair in full if pair[0] != "public"} | {("public", "a"): 1})
    assert "7 classes have no image in public: b, c, d, e, f, …" in capsys.readouterr().err
    splits.check({pair: 3 for pair in full if pair != ("train", "b")})
    assert "1 classes have no image in train: b, so that 9 held-out" in capsys.readouterr().err
