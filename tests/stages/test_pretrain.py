"""sslpipe pretrain: what is watched while training, and that it is the corpus's."""

import signal
from pathlib import Path

import numpy as np
import pytest

from made_of import stamp
from packed_sets import write_packed
from sslpipe.data.index import Entry
from sslpipe.errors import Interrupted, UserError
from sslpipe.io.files import read_sealed, sha256, write_sealed
from sslpipe.layout import Layout
from sslpipe.networks.encoder_file import load_encoder
from sslpipe.params import load
from sslpipe.stages import pretrain

PARAMS = load(Path(__file__).parents[2] / "presets/default.yaml")


@pytest.fixture
def layout(tmp_path):
    """A set of 30 training images and 4 for each other split: the top half tells the row, which side
    of the bottom is white the class."""
    layout = Layout(tmp_path)
    splits = ["train"] * 30 + ["val"] * 4 + ["public"] * 4 + ["private"] * 4
    entries = [
        Entry(row, split, row % 2, "ab"[row % 2], f"all/x/{row}", "", "f" * 64, 8, 8, "", "")
        for row, split in enumerate(splits)
    ]
    images = np.zeros((len(splits), 32, 32, 3), np.uint8)
    images += np.arange(len(splits), dtype=np.uint8)[:, None, None, None]
    images[0::2, 16:, :16] = images[1::2, 16:, 16:] = 255
    write_packed(layout, "digits", entries, images)
    return layout


def bank(layout, *settings):
    found = pretrain.watch(layout, "digits", *settings)
    assert found.val_images[:, 0, 0, 0].tolist() == [30, 31, 32, 33]
    rows = found.train_images[:, 0, 0, 0]
    assert found.train_labels.tolist() == (rows % 2).tolist()
    return rows.tolist()


def test_rows_left_out_are_not_in_the_bank(layout, capsys):
    assert bank(layout, 100) == list(range(30))
    assert bank(layout, 100, [0, 7, 29]) == [row for row in range(30) if row not in (0, 7, 29)]
    assert capsys.readouterr().err == ""
    assert bank(layout, 3) == [0, 14, 29]
    assert "digits: all 3 examples vote in online k-NN, as there are fewer than 20" in (
        capsys.readouterr().err
    )


def test_the_corpus_tells_which_rows_of_a_watched_set_are_no_examples(layout):
    online = PARAMS.pretrain.online.model_copy(update={"datasets": ["digits"]})
    changed = {"pretrain": PARAMS.pretrain.model_copy(update={"online": online})}
    params = PARAMS.model_copy(update=changed)
    watched = {"dataset": "digits", "index_sha256": sha256(layout.packed_index("digits"))}
    histories = []
    for left_out in ({}, {"left_out": list(range(1, 30, 2))}):  # all of the second class
        write_sealed(layout.corpus("base"), {"members": [], "watched": [watched | left_out]})
        stamp(params, layout)
        pretrain.run(params, layout, "raw_pixels")
        histories.append(layout.history("raw_pixels").read_text())
    assert histories[0].endswith(",1.0,1.0\n")
    assert histories[1].endswith(",0.5,0.5\n")  # only one class can be answered
    write_sealed(
        layout.corpus("base"), {"members": [], "watched": [watched | {"index_sha256": "0" * 64}]}
    )
    with pytest.raises(UserError, match=r"base\.json: not the one that .*sslpipe corpus base"):
        pretrain.run(params, layout, "raw_pixels")
    stamp(params, layout)
    with pytest.raises(UserError, match=r"made of another .*digits\.csv; run: sslpipe corpus base"):
        pretrain.run(params, layout, "raw_pixels")


def train(layout, run, *, watched=(), settings=None, **changed):
    """On a corpus of the set."""
    member = {"dataset": "digits", "rows": [0, 30], "excluded": [], "images": 30}
    member["index_sha256"] = sha256(layout.packed_index("digits"))
    write_sealed(layout.corpus("base"), {"members": [member], "watched": []})
    online = PARAMS.pretrain.online.model_copy(update={"datasets": list(watched)})
    updated = {"online": online} | (settings or {})
    changed["pretrain"] = PARAMS.pretrain.model_copy(update=updated)
    params = PARAMS.model_copy(update=changed)
    stamp(params, layout)
    pretrain.run(params, layout, run)


@pytest.mark.parametrize(("run", "watched"), [("raw_pixels", ["digits"]), ("moco_resnet18", [])])
def test_images_of_another_side_than_params_are_not_trained_on(run, watched, layout):
    """And nothing is left that `sslpipe clean` would have to remove."""
    with pytest.raises(UserError) as caught:
        train(layout, run, watched=watched, image_size=48)
    assert str(caught.value) == (
        "digits: packed with 32 px, but image_size is 48; run snakemake or dvc repro, or: "
        "sslpipe subset digits and sslpipe corpus base"
    )
    assert not layout.encoder(run).exists()
    assert layout.states() == []


def test_an_encoder_and_its_report_tell_the_images_that_it_was_made_for(layout):
    cropped = PARAMS.datasets["digits"].model_copy(update={"resize": "crop"})
    train(layout, "raw_pixels", datasets=PARAMS.datasets | {"digits": cropped})
    assert load_encoder(layout.encoder("raw_pixels")).image_size == 32
    report = read_sealed(layout.pretrain_report("raw_pixels"))
    assert report["inputs"]["resize"] == {"digits": "crop"}
    assert report["content"] == load_encoder(layout.encoder("raw_pixels")).content
    assert report["made_of"]["inputs"] == {"corpus base": sha256(layout.corpus("base"))}


def test_what_is_given_up_and_what_is_slow_is_said_before_the_training(layout, monkeypatch, capsys):
    def interrupted(run, images, watched, state, **_):
        said.append(capsys.readouterr().err)
        state.save({"step": 3})
        raise Interrupted(signal.SIGINT)

    said = []
    monkeypatch.setenv("SSLPIPE_DEVICES", "")
    monkeypatch.setattr(pretrain, "peak_flops", lambda device, dtype: 1.0)
    monkeypatch.setattr(pretrain, "train", interrupted)
    for settings in ({"precision": "fp32"}, {"precision": "fp32"}, {"precision": "fp16"}):
        with pytest.raises(Interrupted):
            train(layout, "moco_resnet18", settings=settings)
    first, resumed, changed = said
    for text in (first, resumed):
        assert "given up" not in text and "warning" not in text
    assert (
        "moco_resnet18: an interrupted training, after step 3, is given up: its settings changed since; "
        "it stays until: sslpipe clean\n" in changed
    )
    assert "moco_resnet18: warning: precision fp16 is several times slower than fp32" in changed
