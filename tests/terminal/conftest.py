import sys
from pathlib import Path

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
def printed():
    """(a function that prints to a console of some width) → its lines, without trailing spaces."""
    import io

    from rich.console import Console

    def printed(show, width=200, **options):
        file = io.StringIO()
        show(Console(file=file, width=width, markup=False, highlight=False, **options))
        return [line.rstrip() for line in file.getvalue().splitlines()]

    return printed
