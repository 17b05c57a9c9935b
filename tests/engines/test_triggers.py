"""What a stage's numbers come from, code and parameters, is what makes both engines run it again.

The engines' own files are compared with each other in test_parity.py, so dvc.yaml stands for both.
"""

import ast
import functools
import importlib
import sys
from pathlib import Path

import pytest
import yaml

from sslpipe.cli import STAGES
from sslpipe.reporting import results

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "ssl/sslpipe"
STAGES_OF_DVC = {
    name: stage.get("do", stage)
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
CODE_STAGE = "code_of_"


def with_code(stage: dict) -> dict:
    """With the modules in the place of the file that stands for them."""
    deps = []
    for dep in stage["deps"]:
        path = Path(dep)
        stands_for_code = path.parent == Path("data/code")
        deps += STAGES_OF_DVC[f"{CODE_STAGE}{path.stem}"]["deps"] if stands_for_code else [dep]
    return stage | {"deps": deps}


DECLARED = {
    name: with_code(stage)
    for name, stage in STAGES_OF_DVC.items()
    if not name.startswith(CODE_STAGE)
}

# Where files lie, how they are written, what is said meanwhile, how params.yaml is read (what it says
# is watched by itself), on which device: none of it changes a number.
NEUTRAL = {
    "cli.py", "cores.py", "errors.py", "files.py", "jobs.py", "layout.py", "leftovers.py", "params.py",
    "params_file.py", "params_studies.py", "progress.py", "arrays.py", "stages/inputs.py",
    "training/devices.py", "data/fetch.py",
}  # fmt: skip
# Imported, but without influence on what comes out.
WITHOUT_INFLUENCE = {
    # the splits' names; which image is in which stands in the index
    "describe": {"data/splits.py"},
    "contact_sheet": {"data/splits.py"},
    "corpus": {"data/splits.py"},
    "pretrain": {"data/splits.py", "data/duplicates.py"},
    "embed": {"data/splits.py", "training/precision.py"},
    "neighbours": {"data/splits.py"},
    # and the name of a key
    "finetune": {"data/splits.py", "reporting/results.py"},
    # the views that `embed` makes
    "evaluate": {"views", "reporting/results.py"},
    "leaderboard": {"terminal/console.py", "terminal/leaderboard.py"},
}
# Reached through stages/inputs.py.
THROUGH_INPUTS = {
    "embed": ("data/index.py", "networks/encoder_file.py"),
    "finetune": ("data/index.py", "networks/encoder_file.py"),
    "neighbours": ("data/index.py",),
}
# Defaults come with the parameters, whoever reads them.
DEFAULTS = {
    "download": {"sources"},
    "subset": {"data"},
    "corpus": {"data"},
    "pretrain": {"training"},
    "evaluate": {"evaluation"},
    "finetune": {"evaluation"},
    "leaderboard": {"report"},
    "study": {"report"},
    "claims": {"report"},
}


def module_files() -> dict[str, Path]:
    files = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


FILES = module_files()


@functools.cache
def imports(module: str) -> frozenset[str]:
    """Modules of the package that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sslpipe"):
            for alias in node.names:
                found.add(origin(node.module, alias.name))
    return frozenset(found & FILES.keys())


def origin(module: str, name: str) -> str:
    return f"{module}.{name}" if f"{module}.{name}" in FILES else module


def reached(module: str) -> set[str]:
    seen, waiting = set(), [module]
    while waiting:
        if (now := waiting.pop()) in seen or neutral(now):
            continue
        seen.add(now)
        waiting += imports(now)
    return seen


def neutral(module: str) -> bool:
    path = FILES[module].relative_to(PACKAGE)
    return (
        str(path) in NEUTRAL
        or path.parts[0] in ("schema", "provenance")
        or str(path) in ("__init__.py", "stages/__init__.py")
    )


@pytest.mark.parametrize("stage", DECLARED)
def test_a_changed_default_runs_the_stages_that_it_concerns(stage):
    deps = map(Path, DECLARED[stage]["deps"])
    assert {dep.stem for dep in deps if dep.parent.name == "schema"} == DEFAULTS.get(stage, set())


@pytest.mark.parametrize("stage", DECLARED)
def test_code_that_makes_a_stages_numbers_is_among_its_inputs(stage):
    declared = [
        Path(dep).relative_to("ssl/sslpipe")
        for dep in DECLARED[stage]["deps"]
        if dep.startswith("ssl/")
    ]
    declared += map(Path, WITHOUT_INFLUENCE.get(stage, ()))
    needed = {FILES[m].relative_to(PACKAGE) for m in reached(f"sslpipe.stages.{stage}")}
    missing = {
        str(path) for path in needed if not any(d == path or d in path.parents for d in declared)
    }
    assert missing == set()


@pytest.mark.parametrize("stage", DECLARED)
def test_code_that_a_stage_does_not_run_is_not_among_its_inputs(stage):
    used = {FILES[m].relative_to(PACKAGE) for m in reached(f"sslpipe.stages.{stage}")}
    used |= set(map(Path, THROUGH_INPUTS.get(stage, ())))
    for dep in DECLARED[stage]["deps"]:
        # a schema's defaults come with the parameters
        if dep.startswith("ssl/") and "/schema/" not in dep:
            path = Path(dep).relative_to("ssl/sslpipe")
            assert any(path == u or path in u.parents for u in used), dep


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
