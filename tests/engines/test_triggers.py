"""What a stage's numbers come from, code and parameters, is what makes both engines run it again.

The engines' own files are compared with each other in test_parity.py, so dvc.yaml stands for both.
"""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sslpipe.cli import STAGES
from sslpipe.provenance.code import NEUTRAL, REGISTRIES, bare, digests, part_of_method
from sslpipe.reporting import results

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "ssl/sslpipe"
DECLARED = {
    name: stage.get("do", stage)
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
    if name not in ("sources", "code")
}
# The settings whose defaults a stage's own code fills in.
DEFAULTS = {
    "subset": {"data"},
    "download": {"data"},
    "corpus": {"data"},
    "pretrain": {"training"},
    "evaluate": {"evaluation"},
    "finetune": {"evaluation"},
    "leaderboard": {"report", "evaluation"},
    "study": {"report"},
    "claims": {"report"},
}


# --- code -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", DECLARED)
def test_all_that_a_stage_imports_counts_but_what_moves_no_number(stage):
    """By what Python itself has loaded once the stage is imported."""
    program = (
        f"import json, sys, sslpipe.stages.{stage}\n"
        "print(json.dumps({n: m.__file__ for n, m in sys.modules.items() if n.startswith('sslpipe.')}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {
        name.removeprefix("sslpipe."): Path(file).relative_to(PACKAGE).as_posix()
        for name, file in json.loads(run.stdout).items()
    }
    counted = digests(stage)
    left_out = {
        name
        for name, file in loaded.items()
        if file not in counted and bare((PACKAGE / file).read_bytes()) != ""
    }
    # params.py, which is neutral, reads all settings
    assert {name for name in left_out if name.split(".")[0] not in (*NEUTRAL, "schema")} <= {
        "data.sources",  # which module has a source's reader, for its hash alone
        "data.contents", "data.tree", "data.suffixes",  # what is on this machine
    }  # fmt: skip
    assert counted.keys() >= {f"stages/{stage}.py"}


@pytest.mark.parametrize("stage", DECLARED)
def test_a_changed_default_runs_the_stages_that_it_concerns(stage):
    own = {Path(file).stem for file in digests(stage) if file.startswith("schema/")}
    assert own - {"types", "base", "flat"} == DEFAULTS.get(stage, set())


@pytest.fixture
def package(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "sslpipe", ignore=ignored))


def moved(package: Path) -> set[str]:
    """The stages, and trainings by method, that the edits of a copy of the package concern."""
    jobs = {name: (name, None) for name in DECLARED if name != "pretrain"}
    jobs |= {m: ("pretrain", part_of_method(m)) for m in ("simclr", "moco", "byol", "random")}
    return {name for name, job in jobs.items() if digests(*job) != digests(*job, root=package)}


EDITS = {
    "a comment and a docstring": (
        "training/loop.py", "# Steps after", "# Optimiser steps after", set(),
    ),
    "a docstring": ("training/loop.py", '"""The training loop', '"""The loop of training', set()),
    "a message": ("running/memory.py", "a smaller batch_size", "a small batch_size", set()),
    "a number of a loss": (
        "methods/losses.py", "/ temperature", "/ temperature / 2", {"simclr", "moco", "byol"},
    ),
    "a method": ("methods/byol.py", "class BYOL(Method):", "class BYOL(Method):\n    x = 1\n", {"byol"}),
    "a default of a method": (
        "schema/methods/moco.py", "= 65536", "= 65535", {"moco"},
    ),
    "a default of pretraining": (
        "schema/training.py", "seed: Seed = 0", "seed: Seed = 1",
        {"simclr", "moco", "byol", "random"},
    ),
    "a backend of views": (
        "views/kornia_views.py", "import", "import math\nimport", {"simclr", "moco", "byol", "random"},
    ),
    "a colour of the page": ("reporting/page/style.css", "#", "#f", {"page"}),
    "k-NN": (
        "evaluation/knn.py", "import", "import math\nimport",
        {"simclr", "moco", "byol", "random", "evaluate"},
    ),
    "a locked file": ("io/files.py", "import", "import math\nimport", set()),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_concerns_the_stages_whose_numbers_it_may_move(package, edit):
    name, before, after, concerned = EDITS[edit]
    file = package / name
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))
    assert moved(package) == concerned


def test_what_editors_and_python_leave_in_the_package_does_not_count(package):
    for left in ("__pycache__/x.cpython-311.pyc", ".DS_Store", "page.py.part", ".x/page.py"):
        path = package / "reporting/page" / left
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    (package / "reporting/page/.#page.py").symlink_to("nobody@nowhere.1")
    assert moved(package) == set()


def test_a_module_counts_without_comments_and_docstrings_on_every_python():
    source = b'''# \xc3\xa9 comment
"""Doc
string."""
import os  # why


class A:
    """Doc."""  # and why

    x = "# no comment"  # a comment
    """Of an attribute, \xc3\xa9."""
    y = (
        f"{x!r:>{len(x)}} # none"  # between
        "more"
    )

    def f(self):
        "One line."
        return """\xc3\xa9
# within a text"""
'''
    assert bare(source).splitlines() == [
        "import os",
        "class A:",
        '    x = "# no comment"',
        "    y = (",
        '        f"{x!r:>{len(x)}} # none"',
        '        "more"',
        "    )",
        "    def f(self):",
        '        return """é',
        '# within a text"""',
    ]


def test_names_in_texts_count_and_imports_for_type_checkers_do_not(tmp_path):
    modules = {
        "__init__": "",
        "stages/__init__": "",
        "stages/one": "from sslpipe.a import f\nfrom sslpipe import b\nfrom sslpipe.io import files\n",
        "a": "def f():\n    import sslpipe.c.d\n    return 'sslpipe.e'\n",
        "b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sslpipe import g\nelse:\n"
        "    from sslpipe import h\n",
        "c/__init__": "",
        "c/d": "from sslpipe.stages.one import x\n",
        "io/__init__": "", "io/files": "", "e": "", "g": "", "h": "", "unused": "",
    }  # fmt: skip
    for name, text in modules.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = digests("one", root=tmp_path)
    assert found.keys() == {"stages/one.py", "a.py", "b.py", "c/d.py", "e.py", "h.py"}
    assert REGISTRIES


# --- parameters -------------------------------------------------------------------------------


class Recorded:
    """Parameters that note which of their top-level keys are read."""

    def __init__(self, params):
        self._params, self._read = params, set()

    def __getattr__(self, name):
        self._read.add(name)
        return getattr(self._params, name)

    def model_copy(self, **changes):
        copy = Recorded(self._params.model_copy(**changes))
        copy._read = self._read
        return copy


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    sys.path.insert(0, str(ROOT / "tests/reporting"))
    from synthetic import RUNS, content, write_reports

    params, layout = write_reports(
        tmp_path_factory.mktemp("made"),
        content(
            RUNS,
            finetune={"runs": ["moco"], "epochs": 3},
            studies={"method": {"runs": ["moco", "simclr"], "x": "method"}},
        ),
    )
    for stage in ("leaderboard", "claims"):
        importlib.import_module(f"sslpipe.stages.{stage}").run(params, layout)
    return params, layout


@pytest.mark.parametrize("stage", ["leaderboard", "figures", "study", "claims", "page"])
def test_a_report_stage_watches_what_it_reads(stage, made, monkeypatch):
    """But for what tells whose a file is: if that changes, so do the stage's inputs."""
    params, layout = made
    recorded = Recorded(params)
    whose, stamp = results.Whose, results.Results.stamp
    monkeypatch.setattr(results, "Whose", lambda _, layout: whose(params, layout))
    monkeypatch.setattr(
        results.Results, "stamp",
        lambda _, *keys, **options: stamp(results.Results(params, layout), *keys, **options),
    )  # fmt: skip
    names = [next(iter(params.studies))] if STAGES[stage][0] else []
    importlib.import_module(f"sslpipe.stages.{stage}").run(recorded, layout, *names)
    watched = {path.partition(".")[0] for path in DECLARED[stage]["params"]}
    watched |= {"datasets"} if "data/sources" in DECLARED[stage]["deps"] else set()
    assert recorded._read <= watched
    # and nothing else, but what only refuses nonsense
    assert watched - recorded._read <= {"studies", "runs"}
