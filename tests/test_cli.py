import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import sslpipe
from sslpipe import cli
from sslpipe.errors import Interrupted

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-c", "import sys; from sslpipe.cli import main; sys.exit(main())"]


def test_help_names_every_stage(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    said = capsys.readouterr().out
    assert all(stage in said for stage in cli.STAGES)


def test_a_reader_that_stops_is_no_error():
    command = subprocess.list2cmdline(COMMAND[:1]) + f' -c "{COMMAND[2]}" schema | head -1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x.npy"), 1, "x.npy: No space left"),
        (Interrupted(15), 143, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_exit_codes(error, code, said, monkeypatch, capsys):
    def fail(_):
        raise error

    monkeypatch.setattr(cli, "_check", fail)
    assert cli.main(["check"]) == code
    assert said in capsys.readouterr().err


def test_other_failures_of_files_are_bugs(monkeypatch):
    def fail(_):
        raise FileNotFoundError(errno.ENOENT, "No such file", "x")

    monkeypatch.setattr(cli, "_check", fail)
    with pytest.raises(FileNotFoundError):
        cli.main(["check"])


def test_another_locale_makes_the_same_tar(tmp_path):
    """Of a folder and a class with umlauts, which are other names in ASCII, or none."""
    default = (ROOT / "presets/default.yaml").read_text(encoding="utf-8")
    source = "digits: {source: {kind: folder, path: Bäume}}"
    (tmp_path / "params.yaml").write_text(
        default.replace("digits: {source: digits}", source), encoding="utf-8"
    )
    for name in ("Ahörner", "Linden"):
        (tmp_path / "Bäume" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), len(name)).save(tmp_path / "Bäume" / name / "größte.png")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    tars = []
    for environment in (ascii_only, {"PYTHONUTF8": "1"}):
        subprocess.run(
            [sys.executable, "-m", "sslpipe", "download", "digits"],
            cwd=tmp_path, env=os.environ | environment, check=True, capture_output=True,
        )  # fmt: skip
        tars.append((tmp_path / "data/raw/digits.tar").read_bytes())
    assert tars[0] == tars[1]


# PYTHONPATH cannot name a folder with a colon: then the installed package does it.
@pytest.mark.parametrize(("name", "version"), [("copy", "of the copy"), ("a:b", None)])
def test_a_copy_of_the_project_runs_its_own_code(name, version, tmp_path):
    folder = tmp_path / name
    shutil.copytree(ROOT / "ssl", folder / "ssl", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "ssl/sslpipe/__init__.py").write_text('__version__ = "of the copy"\n')
    command = [Path(sys.executable).with_name("sslpipe"), "--version"]
    for place, expected in ((folder, version), (folder / "ssl", None)):
        done = subprocess.run(
            command, cwd=place, capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout == f"{expected or sslpipe.__version__}\n"
