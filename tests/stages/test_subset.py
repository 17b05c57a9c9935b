"""sslpipe subset: a tar of encoded images → packed pixels and their index."""

import io
import os
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_of import stamp
from sslpipe.data import raw
from sslpipe.data.corpus import trained_on
from sslpipe.data.index import open_packed
from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed
from sslpipe.layout import Layout
from sslpipe.params import load
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import Whose
from sslpipe.schema.data import Dataset
from sslpipe.stages import download, subset
from sslpipe.stages.sets import without_copies

REAL = os.environ.get("SSLPIPE_TEST_IMAGES")


PARAMS = load(Path(__file__).parents[2] / "presets/default.yaml")


def params(path="mine", size=16, **settings):
    mine = Dataset(source={"kind": "folder", "path": path}, **settings)
    datasets = {**PARAMS.datasets, "mine": mine}
    return PARAMS.model_copy(update={"image_size": size, "datasets": datasets})


def pack(settings, layout):
    """A tar that was written by hand, as one that was downloaded with these settings."""
    stamp(settings, layout)
    layout.packed_record("mine").unlink()
    subset.run(settings, layout, "mine")
    assert Whose(settings, layout).trouble(Artefact("packed", "mine")) is None


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (30, 20), value).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path)
    members = [(f"all/{c}/{i:03}.png", png(i)) for c in ("cat", "dog") for i in range(100)]
    members[7] = (members[7][0], b"broken")
    raw.write(layout.raw("mine"), members)
    return layout


def test_digits_end_to_end(tmp_path):
    layout = Layout(tmp_path)
    download.run(params(), layout, "digits")
    subset.run(params(), layout, "digits")
    images, index = open_packed(layout, "digits")
    assert images.shape == (1797, 16, 16, 3)
    assert index.classes == tuple("0123456789")
    assert not index.unreadable
    sizes = [index.split_slice(s) for s in ("train", "val", "public", "private")]
    assert sum(s.stop - s.start for s in sizes) == 1797
    assert abs(sizes[0].stop - 0.6 * 1797) < 60
    # nearest class mean in raw pixels is a good classifier of digits if labels fit images
    pixels, labels = images.reshape(1797, -1).astype(float), index.all_labels
    train = slice(0, sizes[0].stop)
    means = np.stack([pixels[train][labels[train] == c].mean(0) for c in range(10)])
    distances = ((pixels[train.stop :, None] - means) ** 2).sum(-1)
    assert (distances.argmin(1) == labels[train.stop :]).mean() > 0.8


def test_one_unreadable_image_is_left_out_and_said(layout, capsys):
    pack(params(), layout)
    images, index = open_packed(layout, "mine")
    assert len(images) == 199
    assert [entry.source_name for entry in index.unreadable] == ["all/cat/007.png"]
    assert "1 of 200 images are unreadable" in capsys.readouterr().err
    for entry in index.entries:
        assert (images[entry.row] == int(entry.source_name[-7:-4])).all()


def photo(number: int, kind: str = "JPEG", mode: str = "RGB", **settings) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((80, 60)).convert(mode).save(file, kind, **settings)
    return file.getvalue()


def huge() -> bytes:
    """A PNG of some bytes whose header claims 60,000 × 60,000 pixels."""
    content = bytearray(photo(0, "PNG"))
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def turned(number: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return photo(number, exif=exif)


def sixteen_bits(number: int) -> bytes:
    grey = np.asarray(Image.open(io.BytesIO(photo(number))).convert("L")).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(grey * 257).save(file, "PNG")
    return file.getvalue()


BROKEN = {
    "truncated.jpg": lambda i: photo(i)[: 300 + i],
    "truncated.png": lambda i: photo(i, "PNG")[: 60 + i],
    "truncated.webp": lambda i: photo(i, "WEBP")[: 40 + i],
    "truncated.gif": lambda i: photo(i, "GIF")[:20],
    "truncated.tif": lambda i: photo(i, "TIFF")[: 90 + i],
    "zeros.jpg": lambda i: bytes(1000 + i),
    "empty.jpg": lambda i: b"",
    "page.jpg": lambda i: f"<html>{i} not found</html>".encode(),
    "headless.jpg": lambda i: photo(i)[20:],
    "checksum.png": lambda i: flipped(photo(i, "PNG"), 60),
    "huge.png": lambda i: huge(),
    "movie.jpg": lambda i: b"\0\0\0\x20ftypisom" + bytes(100),
    "script.png": lambda i: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
}
UNUSUAL = {
    "wrong_suffix.png": lambda i: photo(i),
    "no_jpeg.jpg": lambda i: photo(i, "WEBP"),
    "animated.gif": lambda i: photo(
        i, "GIF", save_all=True, append_images=[Image.new("P", (80, 60))]
    ),
    "cmyk.jpg": lambda i: photo(i, mode="CMYK"),
    "sixteen_bits.png": sixteen_bits,
    "alpha.png": lambda i: photo(i, "PNG", mode="RGBA"),
    "turned.jpg": turned,
}


def test_two_hundred_damaged_files_among_good_ones(tmp_path):
    """Through download and subset: each is listed with its reason, the others are all there."""
    for c in "ab":
        folder = tmp_path / "mine" / c
        folder.mkdir(parents=True)
        for i in range(150):
            (folder / f"{i:03}.jpg").write_bytes(photo(i))
        for kinds, count in ((BROKEN, 8), (UNUSUAL, 5)):
            for name, make in kinds.items():
                for i in range(count):
                    (folder / f"{i}_{name}").write_bytes(make(i))
    layout, settings = Layout(tmp_path), params(max_unreadable=0.5)
    download.run(settings, layout, "mine")
    subset.run(settings, layout, "mine")
    images, index = open_packed(layout, "mine")
    broken = {e.source_name.split("/")[-1].split("_", 1)[1] for e in index.unreadable}
    assert broken == set(BROKEN)
    assert len(index.unreadable) == 2 * 8 * len(BROKEN) >= 200
    assert all(entry.error and "\n" not in entry.error for entry in index.unreadable)
    assert len(images) == len(index) == 2 * (150 + 5 * len(UNUSUAL))
    for entry in index.entries:
        portrait = "turned" in entry.source_name
        assert (entry.width, entry.height) == ((60, 80) if portrait else (80, 60))
        assert images[entry.row].std() > 5
    again = Layout(tmp_path / "again")
    download.run(params(str(tmp_path / "mine"), max_unreadable=0.5), again, "mine")
    subset.run(settings, again, "mine")
    for file in (Layout.raw, Layout.packed_images, Layout.packed_index):
        assert file(layout, "mine").read_bytes() == file(again, "mine").read_bytes()


def test_adding_a_hundred_images_moves_no_other_to_another_split(tmp_path):
    layout, settings = Layout(tmp_path), params()
    splits = []
    for numbers in (range(0, 300), range(300, 350)):
        for c in "ab":
            (tmp_path / "mine" / c).mkdir(parents=True, exist_ok=True)
            for i in numbers:
                (tmp_path / "mine" / c / f"{i * 7919 % 1000:03}.jpg").write_bytes(photo(i))
        download.run(settings, layout, "mine")
        subset.run(settings, layout, "mine")
        images, index = open_packed(layout, "mine")
        splits.append({e.source_name: (e.split, e.sha256) for e in index.entries})
        assert len(images) == 2 * (numbers.stop)
    assert splits[0].items() <= splits[1].items()
    assert {split for split, _ in splits[0].values()} == {"train", "val", "public", "private"}


def test_the_settings_reach_the_packing(layout):
    with pytest.raises(UserError, match=r"datasets\.mine: 1 of 200 images are unreadable"):
        pack(params(max_unreadable=0.001), layout)
    assert not layout.packed_index("mine").exists()
    pack(params(max_images_per_class=10, size=24), layout)
    images, index = open_packed(layout, "mine")
    assert images.shape[1:] == (24, 24, 3)
    assert np.bincount(index.labels("train")).max() == 10
    pack(params(labelled=False), layout)
    index = open_packed(layout, "mine")[1]
    assert index.classes == ()
    assert len(index.labels("train")) == 199


def test_crop_and_squash(tmp_path):
    layout = Layout(tmp_path)
    pixels = np.zeros((16, 48, 3), np.uint8)
    pixels[:, 16:32] = 200
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    names = [f"{s}/{c}/1.png" for s in ("private", "public", "train", "val") for c in "ab"]
    raw.write(layout.raw("mine"), [(name, file.getvalue()) for name in names])
    pack(params(resize="crop"), layout)
    assert (open_packed(layout, "mine")[0] == 200).all()
    pack(params(resize="squash"), layout)
    squashed = open_packed(layout, "mine")[0]
    assert squashed.min() == 0
    assert squashed.max() == 200


def test_a_missing_tar_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(UserError, match=r"mine\.tar: missing.*sslpipe download mine"):
        subset.run(params(), Layout(tmp_path), "mine")


def test_a_tar_of_something_else_is_refused(layout):
    with pytest.raises(UserError, match=r"mine\.tar: does not say what.*sslpipe download mine"):
        subset.run(params(), layout, "mine")  # nothing says what it is of
    stamp(params(), layout)
    other = r"mine\.tar: made with other settings \(datasets\.mine\.source\); run: sslpipe download mine"
    with pytest.raises(UserError, match=other):
        subset.run(params(labelled=False), layout, "mine")
    raw.write(layout.raw("mine"), [("all/cat/000.png", png(0))])
    with pytest.raises(UserError, match=r"mine\.tar: not the one that.*sslpipe download mine"):
        subset.run(params(), layout, "mine")
    assert not layout.packed_index("mine").exists()


def test_an_unknown_name_lists_those_there_are(tmp_path):
    with pytest.raises(UserError, match=r"no data set named 'mime'.*digits, mine"):
        subset.run(params(), Layout(tmp_path), "mime")


def textured(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((32, 32), Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def test_held_out_images_among_the_training_images_are_said_and_may_be_left_out(tmp_path, capsys):
    layout = Layout(tmp_path)
    names = [
        f"{s}/{c}/{i}.png"
        for s in ("train", "val", "public", "private")
        for c in "ab"
        for i in range(8)
    ]
    files = {name: textured(seed) for seed, name in enumerate(names)}
    files["public/a/0.png"] = files["train/a/1.png"]
    files["private/a/3.png"] = files["train/b/2.png"]  # of another class
    raw.write(layout.raw("mine"), sorted(files.items()))
    pack(params(), layout)
    said = capsys.readouterr().err
    assert (
        "2 held-out images are among the training images (2 equal one, 0 look like one; "
        "public 1, private 1; 1 of another class), which flatters scores; "
        "datasets.mine.copies: leave_out takes 2" in said
    )
    (remark,) = read_sealed(layout.notes("mine", "subset"))["remarks"]
    assert remark.endswith("which flatters scores")
    assert read_sealed(layout.notes("mine", "subset"))["left_out"] == []
    pack(params(copies="leave_out"), layout)
    index = without_copies(layout, "mine", open_packed(layout, "mine")[1])
    out = [index.entries[row].source_name for row in index.left_out]
    assert out == ["train/a/1.png", "train/b/2.png"]
    examples = {index.entries[row].source_name for row in index.examples()}
    assert examples == {name for name in names if name.startswith("train")} - set(out)


def all_of_train_is_held_out(tmp_path, classes):
    layout = Layout(tmp_path)
    splits = ("train", "val", "public", "private")
    names = [f"{s}/{c}/{i}.png" for s in splits for c in "abc" for i in range(2)]
    files = {name: textured(seed) for seed, name in enumerate(names)}
    for name in names:
        if name.startswith("public") and name.split("/")[1] in classes:
            files[name] = files[name.replace("public", "train")]
    raw.write(layout.raw("mine"), sorted(files.items()))
    return layout


def test_what_leaving_copies_out_makes_unscorable_is_refused(tmp_path, capsys):
    layout = all_of_train_is_held_out(tmp_path, "ab")
    pack(params(), layout)
    with pytest.raises(UserError, match=r"datasets\.mine\.copies: leave_out .* 1 of 3 classes"):
        subset.run(params(copies="leave_out"), layout, "mine")
    assert not layout.notes("mine", "subset").exists()
    assert not layout.packed_record("mine").exists()
    capsys.readouterr()
    layout = all_of_train_is_held_out(tmp_path, "b")
    pack(params(copies="leave_out"), layout)
    said = capsys.readouterr().err
    assert "all training images of 1 classes are copies: b" in said
    assert "2 held-out images are among" in said and "of which 2 are no examples" in said


def test_fewer_examples_than_neighbours_are_said_of_scored_sets(tmp_path, capsys):
    layout = all_of_train_is_held_out(tmp_path, "b")
    scored = params(copies="leave_out").model_copy(update={"leaderboard": ["mine"]})
    pack(scored, layout)
    assert "mine: all 4 training images vote, as evaluate.knn.k is 20" in capsys.readouterr().err
    pack(params(), layout)
    assert "vote" not in capsys.readouterr().err


def test_a_set_without_copies_says_nothing(layout):
    pack(params(labelled=False), layout)
    notes = read_sealed(layout.notes("mine", "subset"))
    assert (notes["remarks"], notes["left_out"]) == ([], [])


def test_unlabelled_images_are_packed_behind_the_others(tmp_path):
    layout = Layout(tmp_path)
    names = [
        f"{s}/{c}/{i}.png"
        for s in ("train", "val", "public", "private")
        for c in "ab"
        for i in range(2)
    ]
    names += [f"unlabelled/_/{i}.png" for i in range(3)]
    raw.write(layout.raw("mine"), [(name, textured(seed)) for seed, name in enumerate(names)])
    pack(params(), layout)
    index = open_packed(layout, "mine")[1]
    assert index.classes == ("a", "b")
    assert index.scored == slice(0, 16)
    assert index.labels("unlabelled").tolist() == [-1, -1, -1]
    assert len(trained_on(index)) == 4 + 3


@pytest.mark.skipif(not REAL, reason="SSLPIPE_TEST_IMAGES does not name a folder of real zips")
def test_a_real_zip(tmp_path):
    """CIFAR-10 as NAME/{train,test}/<class>/<file>.jpg: 5,000 and 1,000 images."""
    path = Path(REAL).resolve() / "cifar10.zip"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    layout, settings = Layout(tmp_path), params(str(path), size=32)
    download.run(settings, layout, "mine")
    subset.run(settings, layout, "mine")
    images, index = open_packed(layout, "mine")
    assert len(index) == 6000
    assert len(index.classes) == 10
    sizes = Counter(index.all_splits.tolist())
    assert abs(sizes["train"] - 4500) < 100
    assert abs(sizes["public"] - 500) < 80
    assert sizes["public"] + sizes["private"] == 1000
    assert (np.bincount(index.labels("train")) > 400).all()
    assert 80 < images.mean() < 160
