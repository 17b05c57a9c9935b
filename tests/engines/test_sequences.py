"""A short version of sequences.py, which plays as many as one likes: python tests/engines/sequences.py."""

from itertools import combinations

import pytest
from sequences import DOCUMENTS, Workshop, differences, of_leaderboard, play, wrong_in_reports

# Seeds that need projects of two settings alone, as those take longest. The first moves images and has
# all of reports/ overwritten, the second edits, moves the project and interrupts.
SEQUENCES = [
    (80, ["edit while running", "overwrite", "dvc"]),
    (78, ["edit", "copy", "interrupt", "snakemake"]),
]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    with Workshop(tmp_path_factory.mktemp("sequences")) as made:
        yield made


@pytest.mark.parametrize(("seed", "operations"), SEQUENCES)
def test_every_number_shown_is_of_the_settings_beside_it(workshop, seed, operations):
    played = play(workshop, seed, "made", operations)
    assert not played.violations, "\n".join(map(str, [*played.said, *played.violations]))


def test_numbers_of_other_settings_would_be_noticed(workshop):
    """Last, of the projects that the sequences were compared with."""
    finished = sorted((workshop.folder / "finished").iterdir())
    assert len(finished) > 1
    for one, other in combinations(finished, 2):
        reports = one / "reports", other / "reports"
        boards = [of_leaderboard(folder / "leaderboard.json") for folder in reports]
        scores = [board["metrics"]["mine"]["simclr"] for board in boards]
        assert list(differences(*scores, "simclr"))
        found = [violation.text for violation in wrong_in_reports(*reports, whole=False)]
        assert all(any(text.startswith(name) for text in found) for name in DOCUMENTS)
        assert not list(wrong_in_reports(reports[0], reports[0], whole=True))
