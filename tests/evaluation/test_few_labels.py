import pytest
import torch

from sslpipe.evaluation.few_labels import labelled_part

LABELS = torch.tensor([0] * 300 + [1] * 50 + [3] * 4)


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.1, [30, 5, 1]), (0.01, [3, 1, 1]), (0.5, [150, 25, 2])]
)
def test_each_class_keeps_its_share_and_at_least_one_image(fraction, expected):
    rows = labelled_part(LABELS, fraction, seed=0)
    assert [int((LABELS[rows] == label).sum()) for label in (0, 1, 3)] == expected
    assert rows.tolist() == sorted(set(rows.tolist()))


def test_a_smaller_part_lies_in_a_larger_one():
    parts = [set(labelled_part(LABELS, f, seed=2).tolist()) for f in (0.01, 0.1, 0.5)]
    assert parts[0] < parts[1] < parts[2]


def test_another_seed_gives_another_part():
    one, same, other = (labelled_part(LABELS, 0.1, seed).tolist() for seed in (0, 0, 1))
    assert one == same != other
