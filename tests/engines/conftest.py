"""Two finished experiments, one by each engine."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_project import Project, make_project


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
