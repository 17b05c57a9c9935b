"""sslpipe embed: what it says of images that are not as those that were trained on."""

from pathlib import Path

import numpy as np
import pytest

from packed_sets import write_packed
from sslpipe.data.index import Entry
from sslpipe.errors import UserError
from sslpipe.files import write_sealed
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
    save_encoder(layout.encoder("raw_pixels"), build_backbone("pixels", stem="small"), run)
    return layout


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (None, ""),
        ({"trained": True, "inputs": {}}, ""),  # of an earlier version
        ({"trained": True, "inputs": {"resize": {"a": "squash", "b": "crop"}}}, ""),
        ({"trained": False, "inputs": {"resize": {"a": "crop"}}}, ""),
        (
            {"trained": True, "inputs": {"resize": {"a": "crop", "b": "crop"}}},
            "raw_pixels: trained with resize: crop, digits has squash",
        ),
    ],
)
def test_images_made_square_otherwise_are_embedded_and_that_is_said(report, said, layout, capsys):
    if report:
        write_sealed(layout.pretrain_report("raw_pixels"), report)
    embed.run(PARAMS, layout, "raw_pixels", "digits")
    assert layout.embedding("raw_pixels", "digits").exists()
    log = capsys.readouterr().err
    assert said in log
    assert ("resize" in log) == bool(said)


def test_an_unknown_set_is_refused(layout):
    with pytest.raises(UserError, match=r"no data set named 'zoo' in params\.yaml; there are:"):
        embed.run(PARAMS, layout, "raw_pixels", "zoo")
