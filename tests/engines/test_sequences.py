"""A short version of sequences.py, which plays as many as one likes: python tests/engines/sequences.py."""

import pytest
from sequences import Workshop, play

# Seeds that need projects of two settings alone, as those take longest: images are moved, and all of
# reports/ is overwritten.
SEQUENCES = [(80, ["edit while running", "overwrite", "dvc"])]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    with Workshop(tmp_path_factory.mktemp("sequences")) as made:
        yield made


@pytest.mark.parametrize(("seed", "operations"), SEQUENCES)
def test_every_number_shown_is_of_the_settings_beside_it(workshop, seed, operations):
    played = play(workshop, seed, "made", operations)
    assert not played.violations, "\n".join(map(str, [*played.said, *played.violations]))
