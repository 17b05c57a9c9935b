"""Both engines describe the same DAG: commands, inputs, outputs and watched parameters."""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sslpipe.data.contents import settings, source_settings
from sslpipe.params import load
from sslpipe.provenance.code import code_hash, part_of, part_of_method

ROOT = Path(__file__).resolve().parents[2]
# What Snakemake computes as it reads its rules, DVC is told by stages of its own.
TOLD = ("data/code", "data/sources")

# In processes of their own: both engines change global state when they are used as libraries.
DVC_STAGES = """
import json
from pathlib import Path
from dvc.repo import Repo

repo = Repo(".")
relative = lambda path: str(Path(path).relative_to(repo.root_dir))
stages = []
for stage in repo.index.stages:
    files, params = [], []
    for dep in stage.deps:
        if type(dep).__name__ == "ParamsDependency":
            params += dep.params
        else:
            files.append(relative(dep.fs_path))
    stages.append(dict(outs=sorted(relative(o.fs_path) for o in stage.outs), command=stage.cmd,
                       deps=sorted(files), params=params))
print("RESULT" + json.dumps(stages))
"""
SNAKEMAKE_JOBS = """
import json
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.enums import Quietness
from snakemake.settings.types import DAGSettings, OutputSettings, ResourceSettings

jobs = []
with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
    workflow = api.workflow(ResourceSettings(cores=1), snakefile=Path("workflow/Snakefile"))
    dag = workflow.dag(DAGSettings(forceall=True))
    dag.execute_workflow(executor="dryrun")
    for job in dag.workflow_api._workflow.dag.jobs:
        if job.output:
            jobs.append(dict(outs=sorted(map(str, job.output)), command=job.shellcmd,
                             deps=sorted(map(str, job.input)), log=list(map(str, job.log)),
                             params=[value for _, value in job.params.items()]))
print("RESULT" + json.dumps(jobs))
"""


def ask(program: str, folder: Path) -> dict[tuple[str, ...], dict]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder, capture_output=True, text=True, env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    return {tuple(item["outs"]): item for item in json.loads(line.removeprefix("RESULT"))}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The project's DAG with a contact sheet, of which params.yaml need not have any."""
    folder = tmp_path_factory.mktemp("parity") / "project"
    ignored = shutil.ignore_patterns("cache", "tmp", "__pycache__")
    for name in ("ssl", "workflow", ".dvc", "data/local"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "dvc.yaml", folder)
    content = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"contact_sheets": ["digits"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def both(root):
    return ask(DVC_STAGES, root), ask(SNAKEMAKE_JOBS, root)


def test_same_outputs(both):
    dvc, snakemake = both
    assert dvc.keys() - snakemake.keys() == {("data/code",), ("data/sources",)}
    assert snakemake.keys() <= dvc.keys()
    # 2 × (download, subset, describe), contact sheet, corpus, 8 × pretrain, 16 × 2 cells,
    # 4 × finetune, 2 × neighbours, 3 × study, leaderboard, figures, claims, page
    assert len(snakemake) == 61


def test_same_commands(both):
    dvc, snakemake = both
    for outs, job in snakemake.items():
        (log,) = job["log"]
        assert job["command"] == f"{dvc[outs]['command']} 2>&1 | tee {log}"


def test_same_inputs(both):
    """DVC may name a folder where Snakemake lists the files that it holds."""
    dvc, snakemake = both
    for outs, job in snakemake.items():
        files, folders = set(job["deps"]), []
        deps = {dep for dep in dvc[outs]["deps"] if not dep.startswith(TOLD)}
        for dep in deps:
            if dep not in files:
                folders.append(f"{dep}/")
        covered = {f for f in files if f.startswith(tuple(folders))} if folders else set()
        assert files - covered == deps - {f.rstrip("/") for f in folders}, outs
        for folder in folders:
            assert any(f.startswith(folder) for f in files), (outs, folder)
            made = {o for other in snakemake for o in other if o.startswith(folder)}
            assert {f for f in files if f.startswith(folder)} == made, (outs, folder)


def test_same_parameters(both, root):
    """DVC names keys of params.yaml, or small files of a set's settings and of code; Snakemake holds
    the values."""
    dvc, snakemake = both
    content = yaml.safe_load((root / "params.yaml").read_text())
    datasets = load(root / "params.yaml").datasets

    def value_in(dep):
        name, _, kind = Path(dep).name.partition(".")
        if kind == "":
            return {name: settings(dataset) for name, dataset in datasets.items()}
        of_set, of_source = settings(datasets[name]), source_settings(datasets[name])
        # nothing on this machine is read for sets that packages hold
        return {"json": of_set, "source.json": of_source, "images": None}[kind]

    def hash_of(dep):
        stage, _, job = Path(dep).relative_to("data/code").with_suffix("").as_posix().partition("/")
        part = part_of_method(job) if stage == "pretrain" else None
        if stage in ("download", "describe"):
            part = part_of(stage, load(root / "params.yaml"), job)
        return code_hash(stage, part)

    def value_at(path):
        return functools.reduce(lambda place, key: place[key], path.split("."), content)

    for outs, job in snakemake.items():
        watched = [value_at(path) for path in dvc[outs]["params"]]
        if "corpus" in job["command"]:  # which does not go by the order of scored sets
            place = dvc[outs]["params"].index("leaderboard")
            watched[place] = sorted(watched[place])
        watched += [value_in(dep) for dep in dvc[outs]["deps"] if dep.startswith("data/sources")]
        watched += [hash_of(dep) for dep in dvc[outs]["deps"] if dep.startswith("data/code")]
        if "subset" in job["command"]:
            watched.append(None)  # of a set whose tar is gone, DVC has the tar or its hash
        assert sorted(map(same, job["params"])) == sorted(map(same, watched)), outs


def same(value):
    """One text for equal values: whatever the order of keys, and 1.0 is 1."""
    return json.dumps(json.loads(json.dumps(value), parse_int=float), sort_keys=True)
