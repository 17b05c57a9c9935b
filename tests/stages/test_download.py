"""sslpipe download: a source → one tar."""

import zipfile
from pathlib import Path

import pytest

from sslpipe.data import raw
from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed
from sslpipe.layout import Layout
from sslpipe.params import load
from sslpipe.schema.data import Dataset
from sslpipe.stages import download

PARAMS = load(Path(__file__).parents[2] / "presets/default.yaml")


def params(**datasets):
    datasets = {name: Dataset.model_validate(value) for name, value in datasets.items()}
    return PARAMS.model_copy(update={"datasets": {**PARAMS.datasets, **datasets}})


def mine(**settings):
    return params(mine={"source": {"kind": "folder", "path": "mine"}, **settings})


def names(layout, dataset):
    return [member.name for member in raw.read(layout.raw(dataset))]


def put(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())


def test_the_same_source_makes_the_same_bytes(tmp_path):
    small = {"kind": "photo_patches", "train_per_class": 10, "val_per_class": 2}
    settings = params(patches={"source": {**small, "test_per_class": 2}})
    for dataset, images in (("patches", 20 * 16), ("digits", 1797)):
        layouts = Layout(tmp_path / "one"), Layout(tmp_path / "two")
        for layout in layouts:
            download.run(settings, layout, dataset)
        one, two = (layout.raw(dataset).read_bytes() for layout in layouts)
        assert one == two
        assert len(names(layouts[0], dataset)) == images


def test_a_folder_and_its_zip_make_the_same_bytes(tmp_path):
    paths = ["mine/train/b/1.jpg", "mine/train/a/2.jpg", "mine/test/a/3.jpg"]
    of_folder, of_zip = Layout(tmp_path / "one"), Layout(tmp_path / "two")
    put(of_folder.root, *paths)
    of_zip.root.mkdir()
    with zipfile.ZipFile(of_zip.root / "mine", "w") as file:
        for path in paths:
            file.writestr(path, path)
    for layout in (of_folder, of_zip):
        download.run(mine(), layout, "mine")
    assert names(of_folder, "mine") == ["test/a/3.jpg", "train/a/2.jpg", "train/b/1.jpg"]
    assert of_folder.raw("mine").read_bytes() == of_zip.raw("mine").read_bytes()


def test_images_without_class_folders_are_for_unlabelled_sets(tmp_path):
    put(tmp_path, "mine/1.jpg", "mine/2.jpg")
    layout = Layout(tmp_path)
    with pytest.raises(UserError, match=r"no class folders.*datasets\.mine\.labelled: false"):
        download.run(mine(), layout, "mine")
    assert not layout.raw("mine").exists()
    download.run(mine(labelled=False), layout, "mine")
    assert names(layout, "mine") == ["all/_/1.jpg", "all/_/2.jpg"]


def test_a_failing_download_leaves_the_old_tar(tmp_path):
    put(tmp_path, "mine/a/1.jpg", "mine/b/2.jpg")
    layout = Layout(tmp_path)
    download.run(mine(), layout, "mine")
    before = layout.raw("mine").read_bytes()
    (tmp_path / "mine/a/1.jpg").unlink()
    (tmp_path / "mine/b/2.jpg").unlink()
    with pytest.raises(UserError, match=r"datasets\.mine\.source\.path: mine: no images"):
        download.run(mine(), layout, "mine")
    assert layout.raw("mine").read_bytes() == before
    assert {path.name for path in layout.raw("mine").parent.iterdir()} == {"mine.tar", "mine.json"}


def test_a_missing_folder_names_the_key_and_the_root(tmp_path):
    with pytest.raises(UserError, match=r"datasets\.mine\.source\.path: mine: no such folder"):
        download.run(mine(), Layout(tmp_path), "mine")


def test_an_unknown_name_lists_those_there_are(tmp_path):
    with pytest.raises(UserError, match=r"no data set named 'digit'.*digits, mine"):
        download.run(mine(), Layout(tmp_path), "digit")


def test_images_that_change_while_they_are_read_are_refused(tmp_path, monkeypatch):
    put(tmp_path, "mine/a/1.jpg", "mine/b/2.jpg")
    add = raw._add

    def add_and_change(tar, name, content):
        add(tar, name, content)
        (tmp_path / "mine/a/1.jpg").write_bytes(b"another")

    monkeypatch.setattr(raw, "_add", add_and_change)
    layout = Layout(tmp_path)
    with pytest.raises(UserError, match="changed while they were read"):
        download.run(mine(), layout, "mine")
    assert not layout.raw("mine").exists()


def test_what_was_decided_is_noted(tmp_path):
    put(tmp_path, "mine/Training/a/1.jpg", "mine/Testing/b/2.png", "mine/readme.md")
    layout = Layout(tmp_path)
    download.run(mine(), layout, "mine")
    notes = read_sealed(layout.notes("mine", "download"))["notes"]
    assert notes == [
        "folder Testing is read as test",
        "folder Training is read as train",
        "test: 1 images, 1 classes: b 1",
        "train: 1 images, 1 classes: a 1",
        "formats: .png 1, .jpg 1",
        "left out 1 files of other kinds (.md 1)",
    ]
