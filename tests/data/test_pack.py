"""Packing a tar of images into one array."""

import hashlib
import io

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from sslpipe.data import pack as module
from sslpipe.data import raw
from sslpipe.data.choose import choose
from sslpipe.data.decode import How
from sslpipe.data.index import read_index
from sslpipe.data.pack import pack
from sslpipe.errors import UserError
from sslpipe.schema.data import Dataset

DATASET = Dataset(source={"kind": "folder", "path": "x"})
BROKEN = {"all/a/007.png": b"broken", "all/b/150.png": b""}


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (9, 7), (number % 256, number // 256, 50)).save(file, "PNG")
    return file.getvalue()


def make_tar(path, broken=BROKEN, each=160):
    names = [f"all/{c}/{i:03}.png" for c in "ab" for i in range(each)]
    raw.write(
        path,
        [
            (name, broken.get(name) or (b"" if name in broken else png(i)))
            for i, name in enumerate(names)
        ],
    )
    return path


def packed(folder, tar, processes=1, max_unreadable=0.5, size=8):
    return pack(
        tar,
        choose(raw.read(tar), DATASET),
        folder / "x.npy",
        folder / "x.csv",
        how=How(size, "squash"),
        max_unreadable=max_unreadable,
        processes=processes,
    )


def test_rows_hold_the_images_of_the_index(tmp_path):
    summary = packed(tmp_path, make_tar(tmp_path / "x.tar"))
    images = np.load(tmp_path / "x.npy", mmap_mode="r")
    index = read_index(tmp_path / "x.csv")
    assert images.shape == (318, 8, 8, 3)
    assert images.dtype == np.uint8
    assert (len(index), list(index.unreadable)) == summary
    for entry in index.entries:
        _, class_name, file = entry.source_name.split("/")
        number = int(file[:3]) + 160 * (class_name == "b")
        assert (images[entry.row] == [number % 256, number // 256, 50]).all()
        assert entry.sha256 == hashlib.sha256(images[entry.row].tobytes()).hexdigest()
        assert entry.file_sha256 == hashlib.sha256(png(number)).hexdigest()
        assert (entry.width, entry.height) == (9, 7)


def test_the_array_file_is_what_numpy_writes(tmp_path):
    packed(tmp_path, make_tar(tmp_path / "x.tar"))
    file = io.BytesIO()
    np.save(file, np.load(tmp_path / "x.npy"))
    assert (tmp_path / "x.npy").read_bytes() == file.getvalue()


def test_unreadable_images_are_listed_last_without_a_row(tmp_path):
    summary = packed(tmp_path, make_tar(tmp_path / "x.tar"))
    entries = summary.unreadable
    last = (tmp_path / "x.csv").read_text().splitlines()[-3:-1]
    assert [line.split(",")[4] for line in last] == [entry.source_name for entry in entries]
    assert {entry.source_name for entry in entries} == set(BROKEN)
    for entry in entries:
        assert (entry.row, entry.sha256, entry.width, entry.phash) == (-1, "", 0, "")
        assert entry.file_sha256 == hashlib.sha256(BROKEN[entry.source_name]).hexdigest()
        assert entry.error.startswith("not an image of a known format")


def test_processes_do_not_change_a_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH_BYTES", 8 * 8 * 3 * 20)  # 16 batches
    tar = make_tar(tmp_path / "x.tar")
    for processes in (1, 2):
        packed(tmp_path / str(processes), tar, processes)
    for file in ("x.npy", "x.csv"):
        one, two = ((tmp_path / str(processes) / file).read_bytes() for processes in (1, 2))
        assert one == two
        assert len(one) > 1000


def test_too_many_unreadable_images_name_the_first_and_write_nothing(tmp_path):
    tar = make_tar(tmp_path / "x.tar")
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=r"2 of 320 images are unreadable.*all/[ab]/.*known format"):
        packed(tmp_path / "out", tar, max_unreadable=1.9 / 320)
    assert not list((tmp_path / "out").iterdir())
    packed(tmp_path / "out", tar, max_unreadable=2 / 320)


def test_a_failure_leaves_the_old_files(tmp_path):
    packed(tmp_path, make_tar(tmp_path / "x.tar"))
    before = [(tmp_path / file).read_bytes() for file in ("x.npy", "x.csv")]
    with pytest.raises(UserError):
        packed(tmp_path, tmp_path / "x.tar", max_unreadable=0)
    assert [(tmp_path / file).read_bytes() for file in ("x.npy", "x.csv")] == before


def test_if_the_index_cannot_be_written_no_images_stay_and_no_work_is_lost(tmp_path, monkeypatch):
    """Neither an old array with a new index nor a new one with an old index."""
    tar = make_tar(tmp_path / "x.tar")
    packed(tmp_path, tar)
    before = [(tmp_path / file).read_bytes() for file in ("x.npy", "x.csv")]

    def full(index, entries):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_index", full)
        with pytest.raises(OSError, match="space"):
            packed(tmp_path, tar)
    assert not (tmp_path / "x.npy").exists()
    monkeypatch.setattr(module, "decode_batch", _die)  # nothing is decoded again
    packed(tmp_path, tar)
    assert [(tmp_path / file).read_bytes() for file in ("x.npy", "x.csv")] == before
    assert {path.name for path in tmp_path.iterdir()} == {"x.tar", "x.npy", "x.csv"}


class Stop(Exception):
    pass


def stopped_after(images, folder, tar, monkeypatch):
    """Pack until so many images have been decoded, then fail."""
    decoded = module.decoded_images

    def some(*arguments):
        for number, image in enumerate(decoded(*arguments)):
            if number == images:
                raise Stop
            yield image

    with monkeypatch.context() as patch:
        patch.setattr(module, "decoded_images", some)
        with pytest.raises(Stop):
            packed(folder, tar)


@pytest.mark.parametrize("harm", ["none", "torn line", "lost pixels", "longer pixels", "other tar"])
def test_an_interruption_loses_a_shard_at_most_and_no_byte_differs(
    tmp_path, monkeypatch, capsys, harm
):
    monkeypatch.setattr(module, "SHARD_BYTES", 3 * 8 * 8 * 50)
    tar = make_tar(tmp_path / "x.tar")
    packed(tmp_path / "whole", tar)
    out = tmp_path / "out"
    stopped_after(177, out, tar, monkeypatch)
    pixels, journal = out / ".x.npy.part", out / ".x.csv.part"
    if harm == "torn line":
        journal.write_bytes(journal.read_bytes()[:-5])
    elif harm == "lost pixels":
        pixels.write_bytes(pixels.read_bytes()[:500])
    elif harm == "longer pixels":
        pixels.write_bytes(pixels.read_bytes() + b"more")
    elif harm == "other tar":
        make_tar(tmp_path / "x.tar", {"all/a/003.png": b"no"})
        packed(tmp_path / "whole", tar)
    capsys.readouterr()
    again = []
    decode_batch = module.decode_batch
    monkeypatch.setattr(module, "decode_batch", lambda b: again.extend(b[1]) or decode_batch(b))
    packed(out, tar)
    expected = {"none": 150, "longer pixels": 150, "torn line": 149}.get(harm, 0)
    assert len(again) == 320 - expected
    assert (f"going on after {expected} of 320" in capsys.readouterr().err) == bool(expected)
    for file in ("x.npy", "x.csv"):
        assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert {path.name for path in out.iterdir()} == {"x.npy", "x.csv"}


def test_work_on_other_choices_is_not_gone_on_with(tmp_path, monkeypatch):
    """The same tar, but other labels: the classes are called otherwise in params.yaml."""
    monkeypatch.setattr(module, "SHARD_BYTES", 3 * 8 * 8 * 50)
    tar = make_tar(tmp_path / "x.tar")
    stopped_after(177, tmp_path / "out", tar, monkeypatch)
    monkeypatch.setattr("test_pack.DATASET", DATASET.model_copy(update={"labelled": False}))
    packed(tmp_path / "out", tar)
    packed(tmp_path / "whole", tar)
    for file in ("x.npy", "x.csv"):
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_two_processes_do_not_pack_the_same_set(tmp_path):
    tar = make_tar(tmp_path / "x.tar")
    with FileLock(tmp_path / ".x.npy.lock.part"), pytest.raises(UserError, match="another process"):
        packed(tmp_path, tar)
    packed(tmp_path, tar)


def test_an_empty_split_is_refused(tmp_path):
    with pytest.raises(UserError, match="no image is left for"):
        packed(tmp_path, make_tar(tmp_path / "x.tar", {}, each=1))
    assert not (tmp_path / "x.npy").exists()


def test_nothing_readable(tmp_path):
    names = [f"all/{c}/{i:03}.png" for c in "ab" for i in range(5)]
    raw.write(tmp_path / "x.tar", [(name, b"no") for name in names])
    with pytest.raises(UserError, match="no image is left"):
        packed(tmp_path, tmp_path / "x.tar", max_unreadable=1)


def test_a_process_that_dies_is_one_line(tmp_path, monkeypatch):
    tar = make_tar(tmp_path / "x.tar")
    monkeypatch.setattr(module, "decode_batch", _die)
    with pytest.raises(UserError, match="ended unexpectedly"):
        packed(tmp_path, tar, processes=2)


def _die(batch):
    import os

    os._exit(1)


def test_little_is_in_memory_at_a_time(tmp_path, monkeypatch):
    """Batches are asked for as results are taken, never all at once."""
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    tar = make_tar(tmp_path / "x.tar", {})
    asked = []
    batches = module._batches
    monkeypatch.setattr(module, "_batches", lambda *a: (asked.append(b) or b for b in batches(*a)))
    images = module.decoded_images(tar, choose(raw.read(tar), DATASET), How(8, "squash"), 2)
    for _ in range(10):
        next(images)
    images.close()
    assert len(asked) <= 10 + 4
