"""sslpipe corpus: train rows, less what equals a held-out image of any scored or watched set."""

import hashlib
import io
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image

from made_of import stamp
from sslpipe.data import raw
from sslpipe.data.corpus import corpus_rows
from sslpipe.data.duplicates import HELD_OUT
from sslpipe.data.index import Entry, read_index, write_index
from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed, sha256, write_sealed
from sslpipe.layout import Layout
from sslpipe.params import load
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import Whose
from sslpipe.schema.data import Corpus, Dataset
from sslpipe.stages import corpus, subset

PARAMS = load(Path(__file__).parents[2] / "presets/default.yaml")
NAMES = ("a", "b", "c", "web", "other")


def params(members=("a",), leaderboard=("a",), watched=(), near_duplicates=6):
    folder = {"kind": "folder", "path": "x"}
    datasets = {name: Dataset(source=folder, labelled=name != "web") for name in NAMES}
    online = PARAMS.pretrain.online.model_copy(update={"datasets": list(watched)})
    return PARAMS.model_copy(
        update={
            "image_size": 16,
            "datasets": datasets,
            "leaderboard": list(leaderboard),
            "corpora": {"base": Corpus(datasets=list(members), near_duplicates=near_duplicates)},
            "pretrain": PARAMS.pretrain.model_copy(update={"online": online}),
        }
    )


def put(layout, dataset, labelled=True, phashes=MappingProxyType({}), **splits):
    """An index whose images have these contents, a word each."""
    entries = []
    for split in ("train", "val", "public", "private"):
        for word in splits.get(split, "").split():
            row, digest = len(entries), word.encode().hex().zfill(64)
            label, name = (0, "k") if labelled else (-1, "")
            file_digest = f"{dataset}/{row}".encode().hex().zfill(64)  # each file its own
            source = f"all/k/{row}"
            phash = hashlib.sha256(word.encode()).hexdigest()[:16]
            seen = 20, 20, phashes.get(word, phash)
            entries.append(Entry(row, split, label, name, source, digest, file_digest, *seen, ""))
    label, name = entries[0].label, entries[0].class_name
    entries.append(Entry(-1, "val", label, name, "all/k/x", "", "f" * 64, 0, 0, "", "bad"))
    write_index(layout.packed_index(dataset), entries)
    write_sealed(layout.notes(dataset, "subset"), {"left_out": []})


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path)
    put(layout, "a", train="one two three four", val="five", public="six", private="seven")
    put(layout, "b", train="eight nine", val="ten", public="eleven", private="twelve")
    put(layout, "c", train="thirteen two", val="one", public="nine", private="fourteen")
    put(layout, "web", labelled=False, train="three seven ten web fourteen")
    return layout


def made(layout, **settings):
    stamp(params(**settings), layout)
    return composed(layout, **settings)


def composed(layout, **settings):
    layout.corpus_record("base").unlink(missing_ok=True)
    corpus.run(params(**settings), layout, "base")
    assert read_sealed(layout.corpus_record("base"))["content"] == sha256(layout.corpus("base"))
    assert Whose(params(**settings), layout).trouble(Artefact("corpus", "base")) is None
    return read_sealed(layout.corpus("base"))


def test_the_file(layout):
    digest = sha256(layout.packed_index("a"))
    assert made(layout, watched=["b"]) == {
        "name": "base",
        "image_size": 16,
        "images": 4,
        "members": [
            {
                "dataset": "a",
                "rows": [0, 4],
                "excluded": [],
                "images": 4,
                "index_sha256": digest,
            }
        ],
        "watched": [{"dataset": "b", "index_sha256": sha256(layout.packed_index("b"))}],
    }


def test_rows_of_watched_sets_that_are_no_examples_are_in_it(layout):
    for dataset in "ab":
        write_sealed(layout.notes(dataset, "subset"), {"left_out": [1]})
    (watched,) = made(layout, watched=["b"])["watched"]
    assert watched["left_out"] == [1]


def excluded(content):
    return {member["dataset"]: member["excluded"] for member in content["members"]}


def test_equals_of_held_out_images_of_any_member_are_excluded(layout, capsys):
    content = made(layout, members=["a", "b", "c"])
    assert excluded(content) == {"a": [0], "b": [1], "c": []}
    assert content["images"] == 3 + 1 + 2
    said = capsys.readouterr().err
    assert (
        "left out 1 training images of a: 1 equal a val, public or private image, 0 look like"
        in said
    )
    assert "corpus base: 6 images of a, b, c" in said


def test_equals_of_scored_and_watched_images_are_excluded(layout):
    assert excluded(made(layout, members=["web"], leaderboard=["a"])) == {"web": [1]}
    assert excluded(made(layout, members=["web"], leaderboard=["a", "b"])) == {"web": [1, 2]}
    content = made(layout, members=["web"], leaderboard=["a"], watched=["c"])
    assert excluded(content) == {"web": [1, 4]}
    assert content["members"][0]["images"] == 3


@pytest.mark.parametrize("split", ["val", "public", "private"])
def test_each_held_out_split_of_the_own_set_counts(tmp_path, split):
    layout = Layout(tmp_path)
    put(layout, "a", train="one two", **{split: "two"})
    assert excluded(made(layout)) == {"a": [1]}


def image(number: int, kind: str = "PNG") -> bytes:
    """Wide, so that squash and crop differ; noise, so that no two of them are equal."""
    pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def packed(layout, name, files, **settings):
    """Pack {member name: bytes}; return the index."""
    raw.write(layout.raw(name), sorted(files.items()))
    dataset = Dataset(source={"kind": "folder", "path": "x"}, **settings)
    changed = params().model_copy(update={"datasets": params().datasets | {name: dataset}})
    stamp(changed, layout)
    subset.run(changed, layout, name)
    return read_index(layout.packed_index(name))


FILES = {
    f"all/{c}/{i}.png": image(i)
    for c, start in (("a", 0), ("b", 40))
    for i in range(start, start + 40)
}


@pytest.mark.parametrize(
    "resize, kind",
    [("crop", "PNG"), ("squash", "BMP"), ("squash", "PNG")],
    ids=["the same files", "the same pixels", "both"],
)
def test_no_held_out_image_enters_through_another_set(tmp_path, capsys, resize, kind):
    """The scored set's folder once more, unlabelled: resized otherwise, or encoded otherwise."""
    layout = Layout(tmp_path)
    lab = packed(layout, "a", FILES, resize="squash")
    again = {name: image(i, kind) for i, name in enumerate(FILES)}
    web = packed(layout, "web", again, resize=resize, labelled=False)
    same_pixels, same_files = (
        {getattr(e, key) for e in lab.entries} == {getattr(e, key) for e in web.entries}
        for key in ("sha256", "file_sha256")
    )
    assert (same_pixels, same_files) == (resize == "squash", kind == "PNG")
    held_out = {e.source_name for split in HELD_OUT for e in lab.split_entries(split)}
    assert 10 < len(held_out) < 70
    content = made(layout, members=["web"], leaderboard=["a"])
    ((_, rows),) = corpus_rows(content)
    assert {web.entries[row].source_name for row in rows} == set(FILES) - held_out
    assert f"left out {len(held_out)} training images of web: " in capsys.readouterr().err


def test_images_that_look_like_a_held_out_one_are_excluded(tmp_path, capsys):
    layout = Layout(tmp_path)
    phashes = {"five": "00000000000000ff", "two": "000000000000003f", "three": "0000000000000fff"}
    put(layout, "a", train="one two three", val="five", phashes=phashes)
    assert excluded(made(layout, near_duplicates=None)) == {"a": []}
    assert excluded(made(layout, near_duplicates=2)) == {"a": [1]}
    assert "0 equal a val, public or private image, 1 look like one" in capsys.readouterr().err
    assert excluded(made(layout, near_duplicates=4)) == {"a": [1, 2]}
    text = layout.corpus_page("base").read_text()
    assert "| `all/k/1`" in text.replace("a: ", "") and "look the same, 2 bits" in text
    assert "in at most 4 bits" in text


@pytest.mark.parametrize("copies, warned", [(1, False), (2, True)])
def test_a_hash_that_tells_nothing_apart_is_suspected(tmp_path, capsys, copies, warned):
    layout = Layout(tmp_path)
    words = [f"w{i}" for i in range(30)]
    phashes = dict.fromkeys([*words[:copies], "held"], "00ff00ff00ff00ff")
    put(layout, "a", train=" ".join(words), val="held", phashes=phashes)
    assert excluded(made(layout)) == {"a": list(range(copies))}
    assert ("so many images of a look alike" in capsys.readouterr().err) == warned
    assert ("so many images look alike" in layout.corpus_page("base").read_text()) == warned


def test_the_page_counts_what_was_left_out_and_names_examples(layout):
    made(layout, members=["web", "a"], leaderboard=["a", "b"], watched=["c"])
    text = layout.corpus_page("base").read_text()
    members = [line for line in text.splitlines() if line.startswith(("| web ", "| a "))]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in members]
    # web: seven and ten and fourteen are held out of a, b and c; a: one is c's val
    assert cells[:2] == [["web", "5", "3", "0", "0", "2"], ["a", "4", "1", "0", "0", "3"]]
    assert ["web", "b", "val", "1", "0", "0"] in cells
    assert "a (3), b (3), c (3)" in text
    assert "`all/k/1`" in text and "private: `all/k/6`" in text


def test_a_corpus_without_leaks_says_so(layout):
    made(layout, members=["b"], leaderboard=["a"])
    assert "None was found." in layout.corpus_page("base").read_text()


def test_equal_training_images_stay(layout):
    assert excluded(made(layout, members=["a"], leaderboard=["b"])) == {"a": []}


def test_the_bytes_are_the_same_each_time(layout):
    made(layout, members=["web", "a"], watched=["c"])
    before = layout.corpus("base").read_bytes()
    made(layout, members=["web", "a"], watched=["c"])
    assert layout.corpus("base").read_bytes() == before


def test_rows_for_training(layout):
    rows = corpus_rows(made(layout, members=["b", "a", "c"]))
    assert [(name, values.tolist()) for name, values in rows] == [
        ("b", [0]),
        ("a", [1, 2, 3]),
        ("c", [0, 1]),
    ]
    assert all(values.dtype == np.int64 for _, values in rows)


def test_members_without_an_image_are_not_among_the_rows(layout):
    put(layout, "b", train="six", public="eight")
    rows = corpus_rows(made(layout, members=["b", "a"]))
    assert [name for name, _ in rows] == ["a"]


def test_an_empty_corpus_is_refused(layout):
    put(layout, "b", public="eight")
    with pytest.raises(UserError, match=r"corpora\.base: no training image in b"):
        made(layout, members=["b"])
    assert not layout.corpus("base").exists()


@pytest.mark.parametrize(
    "settings",
    [{"members": ["other"]}, {"leaderboard": ["a", "other"]}, {"watched": ["other"]}],
    ids=["member", "scored", "watched"],
)
def test_a_missing_index_names_the_stage_that_makes_it(layout, settings):
    with pytest.raises(UserError, match=r"other\.csv: missing.*sslpipe subset other"):
        made(layout, **settings)
    layout.packed_record("other").unlink()
    with pytest.raises(UserError, match=r"other\.csv: missing.*sslpipe subset other"):
        composed(layout, **settings)


@pytest.mark.parametrize("settings", [{"members": ["b"]}, {"leaderboard": ["a", "b"]}])
def test_an_index_that_is_not_as_its_record_says_is_refused(layout, settings):
    stamp(params(**settings), layout)
    put(layout, "b", train="eight nine", val="ten", public="eleven", private="thirteen")
    with pytest.raises(UserError, match=r"b\.csv: not the one that its report.*sslpipe subset b"):
        composed(layout, **settings)
    assert not layout.corpus("base").exists()
    made(layout, **settings)
    write_sealed(layout.notes("b", "subset"), {"left_out": [1]})
    with pytest.raises(UserError, match=r"b\.csv: not the one that its report.*sslpipe subset b"):
        composed(layout, **settings)


def test_an_unknown_name_lists_those_there_are(layout):
    with pytest.raises(UserError, match=r"no corpus named 'bass'.*base"):
        corpus.run(params(), layout, "bass")
