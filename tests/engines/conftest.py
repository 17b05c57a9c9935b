"""Two finished experiments, one by each engine."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_project import Project, make_project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers, one runs all of these: they share the experiments."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("engines"))


@pytest.fixture(scope="session")
def snakemake_project(tmp_path_factory) -> Project:
    """A project after one `snakemake --cores all --resources gpu=2`."""
    project = make_project(tmp_path_factory.mktemp("snakemake"))
    project.first = project.run("snakemake --cores all --resources gpu=2")
    return project


@pytest.fixture(scope="session")
def dvc_project(tmp_path_factory) -> Project:
    """A project after one `dvc repro`."""
    project = make_project(tmp_path_factory.mktemp("dvc"))
    project.run("dvc repro")
    return project


@pytest.fixture(scope="session")
def synced_project(snakemake_project, tmp_path_factory) -> Project:
    """The same, of which DVC knows."""
    project = snakemake_project.copy(tmp_path_factory.mktemp("synced") / "project")
    project.run("sslpipe sync")
    return project
