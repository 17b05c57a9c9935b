"""What `make` does about an environment whose folder was renamed; nothing is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(params=["project", "my project"])  # pip writes two kinds of scripts
def folder(request, tmp_path):
    """A project with a finished environment: of scripts that name a Python of their own."""
    folder = tmp_path / request.param
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    python = folder / ".venv/bin/python"
    python.symlink_to(shutil.which("sh"))
    first = (
        f"#!{python}\n" if " " not in str(python) else f"#!/bin/sh\n'''exec' \"{python}\" \"$0\"\n"
    )
    (folder / ".venv/bin/sslpipe").write_text(first, encoding="utf-8")
    for name in ("python", "installed"):
        (folder / ".venv" / name).touch()
    return folder


def planned(folder: Path) -> str:
    command = ["make", "--dry-run", "run"]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=True)
    return done.stdout


def test_an_environment_that_works_is_left_alone(folder):
    said = planned(folder)
    assert "snakemake --cores all" in said
    assert "rm -rf" not in said and "python" not in said


def test_one_that_was_made_in_another_folder_is_made_anew(folder):
    moved = folder.rename(folder.with_name("elsewhere"))
    said = planned(moved)
    assert "was this folder moved?" in said
    assert said.index("rm -rf .venv") < said.index("-m venv .venv") < said.index("-m pip install")
