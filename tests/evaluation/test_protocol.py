from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sslpipe.evaluation import protocol
from sslpipe.evaluation.probe import Probes
from sslpipe.evaluation.protocol import best_cell, evaluate, on_edge

KEYS = [
    "classes",
    "feature_dim",
    "train_images",
    "val_images",
    "public_images",
    "private_images",
    "chance_top1",
    "chance_public_top1",
    "chance_private_top1",
    "knn_top1",
    "knn_top5",
    "knn_mean_per_class",
    "knn_val_top1",
    "knn_public_top1",
    "knn_private_top1",
    "knn_weighted_top1",
    "probe_top1",
    "probe_top5",
    "probe_mean_per_class",
    "probe_val_top1",
    "public_top1",
    "private_top1",
    "probe_best_lr",
    "probe_best_weight_decay",
    "probe_best_on_edge",
    "probe_optimizer",
    "probe_epochs",
    "probe_default_val_top1",
    "probe_default_top1",
    "probe_gain",
]


def problem(classes=6, dimension=10, seed=0):
    random = np.random.default_rng(seed)
    splits = np.array(["train"] * 300 + ["val"] * 100 + ["public"] * 90 + ["private"] * 60)
    random.shuffle(splits)
    labels = random.integers(classes, size=len(splits))
    labels[:5] = 2  # so that one class is the most frequent
    means = np.random.default_rng(7).normal(size=(classes, dimension)) * 0.7
    features = means[labels] + random.normal(size=(len(splits), dimension))
    return features.astype(np.float32), labels.astype(np.int64), splits


def settings(**changed):
    probe = {
        "optimizer": "adam", "epochs": 5, "batch_size": 32, "lr": [1e-4, 1e-2, 1.0],
        "weight_decay": [0.0, 1e-2], "default": SimpleNamespace(lr=1e-3, epochs=3),
    }  # fmt: skip
    return SimpleNamespace(
        knn=SimpleNamespace(k=9, temperature=0.07), probe=SimpleNamespace(**(probe | changed))
    )


def test_keys_types_and_arithmetic():
    features, labels, splits = problem()
    scores = evaluate(features, labels, splits, settings(), seed=0)
    assert list(scores) == KEYS
    assert all(type(value) in (float, int, bool, str) for value in scores.values())
    assert [scores[f"{split}_images"] for split in protocol.SPLITS] == [300, 100, 90, 60]
    assert scores["classes"] == 6 and scores["feature_dim"] == 10
    for name in ("chance", "knn"):
        both = 90 * scores[f"{name}_public_top1"] + 60 * scores[f"{name}_private_top1"]
        assert scores[f"{name}_top1"] == pytest.approx(both / 150)
    both = 90 * scores["public_top1"] + 60 * scores["private_top1"]
    assert scores["probe_top1"] == pytest.approx(both / 150)
    assert scores["probe_gain"] == scores["probe_top1"] - scores["probe_default_top1"]
    assert scores["probe_top1"] > scores["chance_top1"] + 0.2
    assert scores["knn_top1"] > scores["chance_top1"] + 0.2
    assert scores["knn_top5"] > scores["knn_top1"]
    assert scores["probe_optimizer"] == "adam" and scores["probe_epochs"] == 5
    assert scores["probe_best_lr"] in (1e-4, 1e-2, 1.0)


def test_a_class_without_a_vote_is_no_top_5_hit():
    """Two neighbours vote for two of nine classes at most; the low labels of the rest get none."""
    features, labels, splits = problem(classes=9)
    changed = settings()
    changed.knn.k = 2
    scores = evaluate(features, labels, splits, changed, seed=0)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    test = np.isin(splits, ["public", "private"])
    nearest = np.argsort(-unit[test] @ unit[splits == "train"].T, axis=1)[:, :2]
    voters = labels[splits == "train"][nearest]
    assert scores["knn_top5"] == (voters == labels[test, None]).any(axis=1).mean()


def test_the_default_probe_is_adam_whatever_the_grid_is():
    adam, sgd = (evaluate(*problem(), settings(optimizer=name), seed=0) for name in ("adam", "sgd"))
    for key in ("probe_default_val_top1", "probe_default_top1"):
        assert adam[key] == sgd[key]
    assert adam["probe_val_top1"] != sgd["probe_val_top1"] and sgd["probe_optimizer"] == "sgd"


def test_diverged_probes_score_zero(monkeypatch):
    # As a learning rate far too high leaves them: the chosen cell and the default probe.
    fit = protocol.fit_probes

    def diverged(*arguments, **settings):
        probes = fit(*arguments, **settings)
        return Probes(probes.weight * torch.nan, probes.bias)

    monkeypatch.setattr(protocol, "fit_probes", diverged)
    scores = evaluate(*problem(), settings(), seed=0)
    assert list(scores) == KEYS
    zero = [
        "probe_top1", "probe_top5", "probe_mean_per_class", "probe_val_top1", "public_top1",
        "private_top1", "probe_default_val_top1", "probe_default_top1", "probe_gain",
    ]  # fmt: skip
    assert [scores[key] for key in zero] == [0.0] * len(zero)


def test_a_probe_that_overflows_on_test_images_alone_scores_zero_there():
    features, labels, splits = problem()
    before = evaluate(features, labels, splits, settings(), seed=0)
    features[np.flatnonzero(splits == "public")[0]] = 3e38
    after = evaluate(features, labels, splits, settings(lr=[100.0]), seed=0)
    assert after["public_top1"] == 0 and after["private_top1"] > 0
    assert before["public_top1"] > 0


def test_the_same_twice():
    assert evaluate(*problem(), settings(), seed=4) == evaluate(*problem(), settings(), seed=4)


def test_selection_never_reads_a_test_image():
    """Other test images, other labels: what was chosen and its validation score stay the same."""
    features, labels, splits = problem()
    before = evaluate(features, labels, splits, settings(), seed=0)
    random = np.random.default_rng(5)
    test = np.isin(splits, ["public", "private"])
    features[test] = random.normal(size=features[test].shape) * 50
    labels[test] = random.permutation(labels[test])
    after = evaluate(features, labels, splits, settings(), seed=0)
    chosen = [
        "knn_val_top1", "probe_val_top1", "probe_best_lr", "probe_best_weight_decay",
        "probe_default_val_top1",
    ]  # fmt: skip
    assert [before[key] for key in chosen] == [after[key] for key in chosen]
    assert before["probe_top1"] > after["probe_top1"] + 0.2


def test_test_features_meet_the_winning_and_the_default_probe_only(monkeypatch):
    """Every cell meets validation; test images meet only one cell and the default probe."""
    seen = []
    logits = Probes.logits

    def spy(self, features, *rest):
        seen.append((self.weight.shape[0], len(features)))
        return logits(self, features, *rest)

    monkeypatch.setattr(Probes, "logits", spy)
    evaluate(*problem(), settings(), seed=0)
    assert sorted(seen) == sorted([(1, 100)] * 7 + [(1, 90), (1, 60)] * 2)


def test_statistics_come_from_train_alone(monkeypatch):
    features, labels, splits = problem()
    calls = []
    standardise = protocol.standardise

    def spy(train):
        calls.append(train.clone())
        return standardise(train)

    monkeypatch.setattr(protocol, "standardise", spy)
    evaluate(features, labels, splits, settings(), seed=0)
    assert len(calls) == 1
    assert np.array_equal(calls[0].numpy(), features[splits == "train"])


def probes_of(*weights):
    weight = torch.tensor(weights)[:, None, :].repeat(1, 2, 1) * torch.tensor([[1.0], [-1.0]])
    return Probes(weight, torch.zeros(len(weights), 2))


def test_ties_go_to_the_smaller_learning_rate_then_the_smaller_decay():
    x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([0, 0])
    cells = [(0.1, 0.0), (0.01, 0.1), (0.01, 0.0), (0.001, 0.0)]
    assert best_cell(probes_of([1.0], [2.0], [3.0], [-1.0]), cells, x, y) == (2, 1.0)


def test_a_diverged_cell_never_wins():
    x, y = torch.tensor([[1.0], [-2.0]]), torch.tensor([0, 0])
    cells = [(0.1, 0.0), (1.0, 0.0)]
    assert best_cell(probes_of([float("inf")], [1.0]), cells, x, y) == (1, 0.5)


@pytest.mark.parametrize(
    ("cell", "lr", "weight_decay", "expected"),
    [
        ((0.1, 0.0), [0.01, 0.1, 1.0], [0.0, 0.1], False),
        ((1.0, 0.0), [0.01, 0.1, 1.0], [0.0, 0.1], True),
        ((0.01, 0.0), [0.01, 0.1, 1.0], [0.0, 0.1], True),
        ((0.1, 0.1), [0.01, 0.1, 1.0], [0.0, 0.1], True),
        ((0.1, 0.1), [0.01, 0.1, 1.0], [0.1, 0.2, 0.3], True),
        ((0.1, 0.2), [0.01, 0.1, 1.0], [0.1, 0.2, 0.3], False),
        ((0.1, 0.1), [0.1], [0.1], False),
        ((0.1, 0.0), [0.1, 0.1], [0.0], False),
    ],
)
def test_edge_of_the_grid(cell, lr, weight_decay, expected):
    assert on_edge(cell, lr, weight_decay) is expected


def test_refusals():
    features, labels, splits = problem()
    with pytest.raises(ValueError, match="no images in split private"):
        evaluate(features[splits != "private"], labels[splits != "private"],
                 splits[splits != "private"], settings(), seed=0)  # fmt: skip
    with pytest.raises(ValueError, match="unknown split 'test'"):
        evaluate(features, labels, np.where(splits == "public", "test", splits), settings(), 0)
    with pytest.raises(ValueError, match="549 labels"):
        evaluate(features, labels[1:], splits, settings(), seed=0)
    features[np.flatnonzero(splits == "val")[0], 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        evaluate(features, labels, splits, settings(), seed=0)
