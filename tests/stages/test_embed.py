"""sslpipe embed: what it says of images that are not as those that were trained on."""

from pathlib import Path

import numpy as np
import pytest

from made_of import stamp
from packed_sets import write_packed
from sslpipe.data.index import Entry
from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed, write_sealed
from sslpipe.layout import Layout
from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.encoder_file import save_encoder
from sslpipe.params import load, resolve
from sslpipe.stages import embed

PARAMS = load(Path(__file__).parents[2] / "presets/default.yaml")


@pytest.fixture
def layout(tmp_path, monkeypatch):
    """Raw pixels, and a set of a few images."""
    monkeypatch.setenv("SSLPIPE_DEVICES", "")
    layout = Layout(tmp_path)
    splits = ["train"] * 4 + ["val"] * 2 + ["public"] * 2 + ["private"] * 2
    entries = [
        Entry(row, split, row % 2, "ab"[row % 2], f"{row}.png", "", "f" * 64, 8, 8, "", "")
        for row, split in enumerate(splits)
    ]
    write_packed(layout, "digits", entries, np.zeros((len(splits), 32, 32, 3), np.uint8))
    run = resolve(PARAMS, "raw_pixels")
    save_encoder(layout.encoder("raw_pixels"), build_backbone("pixels", stem="small"), run, {})
    return layout


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({"trained": True, "inputs": {}}, ""),
        ({"trained": True, "inputs": {"resize": {"a": "squash", "b": "crop"}}}, ""),
        ({"trained": False, "inputs": {"resize": {"a": "crop"}}}, ""),
        (
            {"trained": True, "inputs": {"resize": {"a": "crop", "b": "crop"}}},
            "raw_pixels: trained with resize: crop, digits has squash",
        ),
    ],
)
def test_images_made_square_otherwise_are_embedded_and_that_is_said(report, said, layout, capsys):
    write_sealed(layout.pretrain_report("raw_pixels"), report)
    stamp(PARAMS, layout)
    embed.run(PARAMS, layout, "raw_pixels", "digits")
    assert layout.embedding("raw_pixels", "digits").exists()
    log = capsys.readouterr().err
    assert said in log
    assert ("resize" in log) == bool(said)


def test_an_unknown_set_is_refused(layout):
    with pytest.raises(UserError, match=r"no data set named 'zoo' in params\.yaml; there are:"):
        embed.run(PARAMS, layout, "raw_pixels", "zoo")


def test_an_encoder_of_something_else_is_refused(layout):
    def refused(text):
        with pytest.raises(
            UserError, match=rf"encoder\.safetensors: {text}.* pretrain raw_pixels$"
        ):
            embed.run(PARAMS, layout, "raw_pixels", "digits")
        assert not layout.embedding("raw_pixels", "digits").exists()

    stamp(PARAMS, layout)
    report = layout.pretrain_report("raw_pixels")
    said = read_sealed(report)
    report.unlink()
    refused("does not say what it was made of")
    write_sealed(report, {"trained": False, "inputs": {}})
    refused("does not say what it was made of")
    write_sealed(report, said | {"content": "0" * 64})
    refused("not the one that its report is of")
    write_sealed(report, said)
    embed.run(PARAMS, layout, "raw_pixels", "digits")


def test_a_set_of_something_else_is_refused(layout):
    stamp(PARAMS, layout)
    changed = PARAMS.datasets["digits"].model_copy(update={"max_classes": 5})
    params = PARAMS.model_copy(update={"datasets": PARAMS.datasets | {"digits": changed}})
    with pytest.raises(UserError, match=r"digits\.csv: made with other settings .* subset digits$"):
        embed.run(params, layout, "raw_pixels", "digits")
    write_sealed(layout.notes("digits", "subset"), {"left_out": [0]})
    with pytest.raises(UserError, match=r"digits\.csv: not the one that .* subset digits$"):
        embed.run(PARAMS, layout, "raw_pixels", "digits")
