"""`ssl/` must stay a source root: as a package it would hide Python's own TLS module."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_no_module_of_its_own():
    assert not (ROOT / "ssl/__init__.py").exists()
    assert not list((ROOT / "ssl").glob("*.py"))


@pytest.mark.parametrize(
    "command",
    [
        ["-c", "import ssl; ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)"],
        ["-c", "import torch"],
        ["-m", "pytest", "--version"],
        ["-m", "snakemake", "--version"],
        ["-m", "dvc", "--version"],
    ],
    ids=["ssl", "torch", "pytest", "snakemake", "dvc"],
)
def test_runs_from_the_root(command):
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
