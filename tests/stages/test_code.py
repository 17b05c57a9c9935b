"""DVC's files of code: one for each stage, each refused by a stage whose code is another."""

from pathlib import Path

import pytest

from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed, write_sealed
from sslpipe.layout import Layout
from sslpipe.params import check
from sslpipe.provenance.code import digests
from sslpipe.schema.file import read
from sslpipe.stages import code

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def params():
    return check(read(ROOT / "presets/default.yaml"))


def test_a_stage_has_a_file_and_so_has_each_method_and_data_set(tmp_path, params):
    layout = Layout(tmp_path)
    layout.code("download/gone").parent.mkdir(parents=True)
    layout.code("download/gone").write_text("{}")
    code.run(params, layout)
    assert not layout.code("download/gone").exists()
    folder = layout.code("page").parent
    names = {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.json")}
    assert names == {
        *code.STAGES,
        *(f"pretrain/{method}" for method in ("simclr", "moco", "byol", "random")),
        *(f"{stage}/{name}" for stage in ("download", "describe") for name in params.datasets),
    }
    assert read_sealed(layout.code("embed"))["files"] == digests("embed")
    own = read_sealed(layout.code("pretrain/moco"))["files"]
    assert "methods/moco.py" in own and "methods/byol.py" not in own
    digits = read_sealed(layout.code("download/digits"))["files"]
    assert "data/sources/bundled.py" in digits and "data/sources/web.py" not in digits


def test_a_stage_that_dvc_started_refuses_other_code_than_its_file_has(
    tmp_path, params, monkeypatch
):
    layout, run = Layout(tmp_path), next(iter(params.runs))
    monkeypatch.setenv("DVC_STAGE", f"pretrain@{run}")
    code.check_code(params, layout, "pretrain", (run,))  # no file: by hand, in another's project
    code.run(params, layout)
    jobs = [
        ("pretrain", (run,)),
        ("embed", (run, "digits")),
        ("download", ("digits",)),
        ("page", ()),
    ]
    for stage, names in jobs:
        code.check_code(params, layout, stage, names)
    for path in layout.code("page").parent.rglob("*.json"):
        files = read_sealed(path)["files"]
        write_sealed(path, {"files": files | {"seeds.py": "other"}})
    for stage, names in jobs:
        with pytest.raises(
            UserError, match=r"json: the code has changed since; run dvc repro again$"
        ):
            code.check_code(params, layout, stage, names)
    monkeypatch.delenv("DVC_STAGE")  # Snakemake has compared it itself
    for stage, names in jobs:
        code.check_code(params, layout, stage, names)
