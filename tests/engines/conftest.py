"""Two finished experiments, one by each engine: made once, and copied for every worker."""

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).parent))

from small_project import Project, make_project


def finished(
    factory: pytest.TempPathFactory, name: str, command: str, of: Project | None = None
) -> Project:
    """A project after a command, whose output is `first`. of: what is there before; else a new one."""
    return shared(factory, name, lambda folder: _run(folder, command, of))


def _run(folder: Path, command: str, of: Project | None) -> object:
    project = of.copy(folder) if of else make_project(folder)
    return project.run(command)


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Project:
    """A copy of what the first worker that asks for it has made."""
    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    done = root / f"{name}.done"
    with FileLock(root / f"{name}.lock"):
        if not done.exists():
            done.write_bytes(pickle.dumps(make(root / name)))
    project = Project(root / name).copy(factory.mktemp(name) / "project")
    project.first = pickle.loads(done.read_bytes())
    return project


@pytest.fixture(scope="session")
def snakemake_project(tmp_path_factory) -> Project:
    """A project after one `snakemake --cores all --resources gpu=2`."""
    return finished(tmp_path_factory, "snakemake", "snakemake --cores all --resources gpu=2")


@pytest.fixture(scope="session")
def dvc_project(tmp_path_factory) -> Project:
    """A project after one `dvc repro`."""
    return finished(tmp_path_factory, "dvc", "dvc repro")


@pytest.fixture(scope="session")
def synced_project(snakemake_project, tmp_path_factory) -> Project:
    """The first, of which DVC knows."""
    return finished(tmp_path_factory, "synced", "sslpipe sync", snakemake_project)
