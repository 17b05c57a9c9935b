import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from sslpipe.evaluation.scores import answers, chance, in_top_k, mean_per_class, top_k


def test_scores_are_those_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(300, 12, generator=generator)
    labels = torch.randint(12, (300,), generator=generator)
    for k in (1, 5):
        expected = top_k_accuracy_score(labels.numpy(), scores.numpy(), k=k)
        assert top_k(scores, labels, k) == pytest.approx(expected)
    expected = balanced_accuracy_score(labels.numpy(), scores.argmax(1).numpy())
    assert mean_per_class(scores, labels) == pytest.approx(expected)


def test_equal_scores_go_to_the_lower_label():
    scores = torch.tensor([[0.0, 1.0, 1.0, 1.0]] * 3)
    assert top_k(scores, torch.tensor([1, 2, 3]), 1) == pytest.approx(1 / 3)
    assert top_k(scores, torch.tensor([1, 2, 3]), 2) == pytest.approx(2 / 3)
    assert top_k(torch.zeros(1, 9), torch.tensor([5]), 5) == 0


def test_fewer_classes_than_five():
    assert top_k(torch.zeros(4, 3), torch.tensor([0, 1, 2, 2]), 5) == 1


def test_minus_infinity_is_never_a_hit():
    scores = torch.tensor([[-torch.inf, 1.0, -torch.inf]] * 2)
    assert top_k(scores, torch.tensor([0, 1]), 5) == 0.5
    nothing = torch.full((1, 3), -torch.inf)
    assert top_k(nothing, torch.tensor([0]), 1) == mean_per_class(nothing, torch.tensor([0])) == 0


def test_classes_without_images_do_not_count():
    scores = torch.eye(4)[[0, 0, 0, 3]]
    assert mean_per_class(scores, torch.tensor([0, 0, 1, 3])) == pytest.approx((1 + 0 + 1) / 3)


def test_chance_answers_the_most_frequent_training_class():
    assert chance(torch.tensor([2, 2, 1]), torch.tensor([2, 1, 1, 0])) == 0.25
    assert chance(torch.tensor([2, 1]), torch.tensor([2, 1, 1])) == pytest.approx(2 / 3)


def test_an_empty_split_is_refused():
    nothing = torch.zeros(0, dtype=torch.long)
    for score in (lambda s, y: top_k(s, y, 1), mean_per_class):
        with pytest.raises(ValueError, match="split is empty"):
            score(torch.zeros(0, 3), nothing)
    with pytest.raises(ValueError, match="chance needs"):
        chance(torch.tensor([1]), nothing)


def test_scores_that_are_no_numbers_are_refused():
    for wrong in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="NaN"):
            top_k(torch.tensor([[wrong, 0.0]]), torch.tensor([0]), 1)
    with pytest.raises(ValueError, match="2 rows of scores for 1 labels"):
        top_k(torch.zeros(2, 2), torch.tensor([0]), 1)


def test_answers_are_the_highest_scores():
    scores = torch.tensor([[0.0, 2.0, 2.0], [3.0, 1.0, 3.0], [-torch.inf] * 3])
    assert answers(scores).tolist() == [1, 0, -1]
    random = torch.randn(200, 7, generator=torch.Generator().manual_seed(1))
    assert answers(random).tolist() == random.numpy().argmax(axis=1).tolist()


def test_in_top_k_is_top_k_image_by_image():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(50, 9, generator=generator)
    labels = torch.randint(9, (50,), generator=generator)
    order = scores.argsort(dim=1, descending=True)[:, :3]
    assert in_top_k(scores, labels, 3).tolist() == (order == labels[:, None]).any(dim=1).tolist()
