"""sslpipe describe: an index → a page."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from made_of import stamp
from sslpipe.data.index import Entry, write_index
from sslpipe.errors import UserError
from sslpipe.io.files import write_sealed
from sslpipe.layout import Layout
from sslpipe.params import load
from sslpipe.schema.data import Dataset
from sslpipe.stages import describe

ROOT = Path(__file__).parents[2]
PARAMS = load(ROOT / "presets/default.yaml")


def params(**changed):
    mine = Dataset(source={"kind": "folder", "path": "mine"}, resize="crop")
    datasets = {**PARAMS.datasets, "mine": mine}
    return PARAMS.model_copy(update={"datasets": datasets, "image_size": 24, **changed})


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path)
    hashes = [f"{i % 4:064x}" for i in range(8)]
    entries = [
        Entry(
            row, split, row % 2, "ab"[row % 2], f"all/{row}", digest, digest, 20, 30, "0" * 16, ""
        )
        for row, (split, digest) in enumerate(
            zip(["train"] * 4 + ["val", "val", "public", "private"], hashes, strict=True)
        )
    ]
    write_index(layout.packed_index("mine"), entries)
    for name in ("mine", "digits"):
        write_sealed(layout.notes(name, "download"), {"notes": []})
        write_sealed(layout.notes(name, "subset"), {"notes": [], "remarks": [], "left_out": []})
    stamp(params(), layout)
    return layout


def written(layout, **changed):
    describe.run(params(**changed), layout, "mine")
    return layout.dataset_page("mine").read_text()


def test_the_page_comes_from_the_index_and_the_settings(layout, capsys):
    text = written(layout)
    assert text.startswith("# mine\n")
    assert "8 images of 24×24 pixels, packed with `resize: crop`." in text
    assert "All images have 20×30 pixels." in text
    assert "below 24 pixels: 8 images (100.0 %)" in text
    page = layout.root / "reports/data/mine.md"
    assert capsys.readouterr().err == f"mine: described in {page}\n"


def test_the_facts_are_the_pages_in_short(layout):
    written(layout)
    facts = json.loads(layout.dataset_facts("mine").read_text())
    assert facts["images"] == {"train": 4, "val": 2, "public": 1, "private": 1}
    assert facts["classes"] == {"a": 4, "b": 4} and facts["labelled"]
    assert (facts["kind"], facts["image_size"], facts["unreadable"]) == ("folder", 24, 0)
    expected = hashlib.sha256(layout.packed_index("mine").read_bytes()).hexdigest()
    assert facts["index_sha256"] == expected


def test_the_contact_sheet_is_shown_if_the_parameters_name_the_set(layout):
    picture = "![Example images of mine](mine.png)"
    assert picture in written(layout, contact_sheets=["digits", "mine"])
    assert picture not in written(layout, contact_sheets=["digits"])


def test_the_bytes_do_not_depend_on_the_order_of_sets(layout):
    shutil.copy(ROOT / "presets/default.yaml", layout.root / "params.yaml")
    shutil.copy(layout.packed_index("mine"), layout.packed_index("digits"))
    stamp(PARAMS, layout)
    pages = []
    for seed in "12":
        subprocess.run(
            [sys.executable, "-m", "sslpipe", "describe", "digits"],
            cwd=layout.root, env={**os.environ, "PYTHONHASHSEED": seed}, check=True,
        )  # fmt: skip
        pages.append(layout.dataset_page("digits").read_bytes())
    assert pages[0] == pages[1]


def test_what_is_missing_is_one_line(layout):
    with pytest.raises(UserError, match=r"no data set named 'nope'.*mine"):
        describe.run(params(), layout, "nope")
    stamp(PARAMS, layout)  # of another size than `params`
    with pytest.raises(UserError, match=r"digits\.csv: made with other settings \(image_size\)"):
        describe.run(params(), layout, "digits")
    stamp(params(), layout)
    for _ in ("without an index", "and without a record"):
        with pytest.raises(UserError, match=r"digits\.csv: missing.*sslpipe subset digits"):
            describe.run(params(), layout, "digits")
        layout.packed_record("digits").unlink(missing_ok=True)


def test_what_was_decided_and_what_flatters_is_shown(layout):
    write_sealed(layout.notes("mine", "download"), {"notes": ["folder Test_*1 is read as test"]})
    write_sealed(
        layout.notes("mine", "subset"),
        {"notes": [], "remarks": ["2 held-out images …"], "left_out": []},
    )
    stamp(params(), layout)
    text = written(layout)
    assert (
        "## How it was read\n\n- folder Test\\_\\*1 is read as test\n- 2 held-out images …\n"
        in text
    )
    assert json.loads(layout.dataset_facts("mine").read_text())["remarks"] == [
        "2 held-out images …"
    ]
