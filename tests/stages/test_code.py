"""The file that stands for a stage's code changes with every module that it stands for."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from sslpipe.errors import UserError
from sslpipe.io.files import read_sealed
from sslpipe.layout import Layout
from sslpipe.stages import code

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def layout(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__")
    root = tmp_path / ".dvc/tmp/exps/copy"  # hidden is what lies below the package, not above it
    shutil.copytree(ROOT / "ssl/sslpipe", root / "ssl/sslpipe", ignore=ignored)
    return Layout(root)


@pytest.mark.parametrize("stage", code.FILED)
def test_it_has_the_hash_of_every_module(stage, layout):
    code.run(None, layout, stage)
    files = read_sealed(layout.code(stage))["files"]
    assert f"ssl/sslpipe/stages/{stage}.py" in files
    for path, digest in files.items():
        assert digest == hashlib.sha256((layout.root / path).read_bytes()).hexdigest()


def test_a_new_module_in_a_folder_counts_and_what_python_caches_does_not(layout):
    code.run(None, layout, "pretrain")
    before = layout.code("pretrain").read_bytes()
    cache = layout.package() / "methods/__pycache__"
    cache.mkdir()
    (cache / "moco.cpython-311.pyc").write_bytes(b"x")
    for left in (".DS_Store", "moco.py.part", ".ipynb_checkpoints/moco.py"):
        path = layout.package() / "methods" / left
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    (layout.package() / "methods/.#moco.py").symlink_to("nobody@nowhere.1")
    code.run(None, layout, "pretrain")
    assert layout.code("pretrain").read_bytes() == before
    (layout.package() / "methods/new.py").write_text("")
    code.run(None, layout, "pretrain")
    added = json.loads(layout.code("pretrain").read_text())["files"].keys()
    assert added - json.loads(before)["files"].keys() == {"ssl/sslpipe/methods/new.py"}


def test_other_code_than_the_file_says_is_refused(layout):
    code.check_code(layout, "embed")  # by hand, without any engine
    code.run(None, layout, "embed")
    code.check_code(layout, "embed")
    module = layout.package() / "data/index.py"
    before = module.read_text()
    module.write_text(f"{before}# changed\n")
    with pytest.raises(UserError, match=r"embed.json: the code has changed.*: sslpipe code embed$"):
        code.check_code(layout, "embed")
    module.write_text(before)
    code.check_code(layout, "embed")
    layout.code("embed").write_text(
        layout.code("embed").read_text().replace("data/index", "data/Index")
    )
    with pytest.raises(UserError, match=r"not as its stage wrote it.*run: sslpipe code embed$"):
        code.check_code(layout, "embed")


def test_a_stage_without_such_a_file_is_refused(layout):
    with pytest.raises(UserError, match="corpus: no stage whose code has a file; there are: pre"):
        code.run(None, layout, "corpus")
