import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "reporting"))  # synthetic.py


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A report of which one training of three seeds has not finished; with a leaderboard."""
    from synthetic import RUNS, content, write_reports

    from sslpipe.stages import leaderboard

    params, layout = write_reports(
        tmp_path_factory.mktemp("made"),
        content(RUNS, finetune={"runs": ["moco", "simclr"], "epochs": 3}),
        without=("moco_seed2",),
    )
    leaderboard.run(params, layout)
    return params, layout


@pytest.fixture
def project(made, tmp_path, monkeypatch, capsys):
    """A copy of `made` in the current folder, whose params.yaml can be edited.

    edit: by the name of one of `edits.EDITS`; take_back: it; run: a command → its exit code, and the
    lines of its output and of its errors."""
    import yaml

    from edits import EDITS
    from sslpipe import cli

    shutil.copytree(made[1].root, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv("COLUMNS", raising=False)  # no terminal's width
    params = Path("params.yaml")
    before = params.read_text()

    def edit(name):
        content = yaml.safe_load(before)
        EDITS[name](content)
        params.write_text(yaml.safe_dump(content, sort_keys=False))

    def run(*command):
        capsys.readouterr()
        code = cli.main(list(command))
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return SimpleNamespace(edit=edit, run=run, take_back=lambda: params.write_text(before))


@pytest.fixture
def printed():
    """(a function that prints to a console of some width) → its lines, without trailing spaces."""
    import io

    from rich.console import Console

    def printed(show, width=200, **options):
        file = io.StringIO()
        show(Console(file=file, width=width, markup=False, highlight=False, **options))
        return [line.rstrip() for line in file.getvalue().splitlines()]

    return printed
