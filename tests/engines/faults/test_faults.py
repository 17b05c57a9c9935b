"""A short version of the campaign, which injects hundreds (`make faults`)."""

import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import faults
from campaign import GOOD, MISSED, inject
from faults import Engine
from workspace import Workspace

CASES = [
    ("snakemake", "pretrain@simclr", "KILL of all"),
    ("dvc", "pretrain@moco", "KILL of the engine"),
    ("snakemake", "pretrain@moco", "INT to all (Ctrl-C)"),
    ("dvc", "embed@patches-simclr", "TERM to the engine"),
    ("dvc", "pretrain@simclr", "checkpoint flipped"),
    ("snakemake", "subset@patches", "both engines at once"),
    ("snakemake", "evaluate@patches-simclr", "disk full"),
    ("snakemake", "leaderboard", "no permission to write"),
    ("snakemake", "subset@patches", "byte flipped, time kept"),
    ("dvc", "embed@patches-moco", "truncated"),
    ("snakemake", "evaluate@patches-moco", "byte flipped"),
    ("dvc", "corpus@base", "DVC's cache damaged"),
]


@pytest.fixture(scope="module")
def work(synced_project, tmp_path_factory):
    environment = dict(os.environ) | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SSLPIPE_DEVICES": "", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("faults") / "work"
    return Workspace(synced_project.folder, folder, environment)


@pytest.mark.parametrize(("engine", "name", "kind"), CASES)
def test_the_next_run_ends_as_an_undisturbed_one(engine, name, kind, work):
    if kind in faults.MACHINE and not faults.can_mount():
        pytest.skip("only root may mount a small disk")
    (stage,) = [stage for stage in work.stages if stage.name == name]
    try:
        for seed in range(1, 5):
            row = inject(work, Engine(engine), stage, kind, random.Random(seed))
            if row["outcome"] != MISSED:
                break
            work.restore()
        assert row["outcome"] in GOOD, (row.pop("trouble"), "\n".join(row.pop("said")))
    finally:
        work.restore()
