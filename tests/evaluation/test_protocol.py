import numpy as np
import pytest
import torch

from sslpipe.evaluation import grid, protocol
from sslpipe.evaluation.grid import best_cell, on_edge
from sslpipe.evaluation.probe import Probes
from sslpipe.evaluation.rank import effective_rank
from sslpipe.evaluation.structure import uniformity
from sslpipe.schema.evaluation import DefaultProbe, Evaluate, FewLabels, Knn, Probe

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
    "knn_1_top1",
    "knn_9_top1",
    "knn_301_top1",
    "probe_top1",
    "probe_top5",
    "probe_mean_per_class",
    "probe_val_top1",
    "public_top1",
    "private_top1",
    "probe_best_optimizer",
    "probe_best_lr",
    "probe_best_weight_decay",
    "probe_best_on_edge",
    "probe_epochs",
    "probe_default_val_top1",
    "probe_default_top1",
    "probe_gain",
    "fewlabels_10_top1",
    "fewlabels_50_top1",
    "effective_rank",
    "alignment",
    "uniformity",
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


def settings(*, k=9, **changed):
    probe = {
        "optimizer": ["adam"], "epochs": 5, "batch_size": 32, "lr": [1e-4, 1e-2, 1.0],
        "weight_decay": [0.0, 1e-2], "default": DefaultProbe(epochs=3),
    }  # fmt: skip
    return Evaluate(
        knn=Knn(k=k, also_k=[1, 9, 301]),
        probe=Probe(**(probe | changed)),
        few_labels=FewLabels(fractions=[0.1, 0.5], epochs=5),
    )


def whole(features, labels, splits, chosen):
    """Everything; the views are of no interest here."""
    views = np.random.default_rng(3).normal(size=(2, 20, features.shape[1])).astype(np.float32)
    classes = [f"class {i}" for i in range(int(labels.max()) + 1)]
    return protocol.evaluate(features, labels, splits, views, classes, chosen)


def evaluate(features, labels, splits, chosen, seed=0):
    return whole(features, labels, splits, chosen.model_copy(update={"seed": seed})).scores


def test_keys_types_and_arithmetic():
    features, labels, splits = problem()
    scores = evaluate(features, labels, splits, settings(), seed=0)
    assert list(scores) == KEYS
    # More neighbours than the 300 training images: no score, but a key all the same.
    assert [key for key, value in scores.items() if value is None] == ["knn_301_top1"]
    del scores["knn_301_top1"]
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
    assert scores["probe_best_optimizer"] == "adam" and scores["probe_epochs"] == 5
    assert scores["knn_9_top1"] == scores["knn_top1"]
    assert scores["probe_best_lr"] in (1e-4, 1e-2, 1.0)


def test_a_class_without_a_vote_is_no_top_5_hit():
    """Two neighbours vote for two of nine classes at most; the low labels of the rest get none."""
    features, labels, splits = problem(classes=9)
    scores = evaluate(features, labels, splits, settings(k=2), seed=0)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    test = np.isin(splits, ["public", "private"])
    nearest = np.argsort(-unit[test] @ unit[splits == "train"].T, axis=1)[:, :2]
    voters = labels[splits == "train"][nearest]
    assert scores["knn_top5"] == (voters == labels[test, None]).any(axis=1).mean()


def test_the_default_probe_is_adam_whatever_the_grid_is():
    adam, sgd = (
        evaluate(*problem(), settings(optimizer=[name]), seed=0) for name in ("adam", "sgd")
    )
    for key in ("probe_default_val_top1", "probe_default_top1"):
        assert adam[key] == sgd[key]
    assert adam["probe_val_top1"] != sgd["probe_val_top1"] and sgd["probe_best_optimizer"] == "sgd"


def test_diverged_probes_score_zero(monkeypatch):
    # As a learning rate far too high leaves them: the chosen cell and the default probe.
    fit = grid.fit_probes

    def diverged(*arguments, **settings):
        probes = fit(*arguments, **settings)
        return Probes(probes.weight * torch.nan, probes.bias)

    monkeypatch.setattr(grid, "fit_probes", diverged)
    scores = evaluate(*problem(), settings(), seed=0)
    assert list(scores) == KEYS
    zero = [
        "probe_top1", "probe_top5", "probe_mean_per_class", "probe_val_top1", "public_top1",
        "private_top1", "probe_default_val_top1", "probe_default_top1", "probe_gain",
        "fewlabels_10_top1", "fewlabels_50_top1",
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
    grids = 3  # with all labels, a tenth, a half of them
    validation = [(1, 100)] * (6 * grids + 1)
    assert sorted(seen) == sorted(validation + [(1, 90), (1, 60)] * 2 + [(1, 150)] * 2)


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
    assert best_cell(probes_of([1.0], [2.0], [3.0], [-1.0]), cells, x, y) == (
        2,
        [1.0, 1.0, 1.0, 0.0],
    )


def test_a_diverged_cell_never_wins():
    x, y = torch.tensor([[1.0], [-2.0]]), torch.tensor([0, 0])
    cells = [(0.1, 0.0), (1.0, 0.0)]
    assert best_cell(probes_of([float("inf")], [1.0]), cells, x, y) == (1, [0.0, 0.5])


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
        evaluate(features, labels, np.where(splits == "public", "test", splits), settings())
    with pytest.raises(ValueError, match="549 labels"):
        evaluate(features, labels[1:], splits, settings(), seed=0)
    features[np.flatnonzero(splits == "val")[0], 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        evaluate(features, labels, splits, settings(), seed=0)


def test_fewer_training_images_than_neighbours_all_vote_and_it_is_said():
    features, labels, splits = problem()
    asked = evaluate(features, labels, splits, settings(k=400))
    assert asked["knn_k"] == 300
    every = evaluate(features, labels, splits, settings(k=300))
    assert "knn_k" not in every
    assert {key: asked[key] for key in every} == every


def test_unused_images_take_no_part():
    features, labels, splits = problem()
    unused = np.flatnonzero(splits == "train")[::3]
    kept = np.setdiff1d(np.arange(len(splits)), unused)
    marked = splits.astype("<U7")
    marked[unused] = "unused"
    noise = features.copy()
    noise[unused] = 1e6
    without = evaluate(features[kept], labels[kept], splits[kept], settings())
    assert evaluate(noise, labels, marked, settings()) == without


# --- answers, few labels, features --------------------------------------------------------------


def test_answers_add_up_to_the_scores():
    features, labels, splits = problem()
    done = whole(features, labels, splits, settings())
    scores, answers = done.scores, done.predictions
    test = np.concatenate([np.flatnonzero(splits == half) for half in ("public", "private")])
    assert (answers["label"] == labels[test]).all()
    assert answers["private"].tolist() == [False] * 90 + [True] * 60
    label, private = answers["label"], answers["private"]
    for name, key in (("knn", "knn_top1"), ("probe", "probe_top1")):
        assert (answers[name] == label).mean() == pytest.approx(scores[key])
    assert (answers["probe"] == label)[~private].mean() == pytest.approx(scores["public_top1"])
    assert (answers["probe"] == label)[private].mean() == pytest.approx(scores["private_top1"])
    hits = {"knn_top5": "knn_top5", "probe_top5": "probe_top5", "knn_weighted": "knn_weighted_top1",
            "default_probe": "probe_default_top1", "fewlabels_10": "fewlabels_10_top1"}  # fmt: skip
    for name, key in hits.items():
        assert answers[name].dtype == bool and answers[name].mean() == pytest.approx(scores[key])


def test_a_diverged_probe_answers_nothing(monkeypatch):
    fit = grid.fit_probes
    monkeypatch.setattr(
        grid,
        "fit_probes",
        lambda *a, **k: (lambda p: Probes(p.weight * torch.nan, p.bias))(fit(*a, **k)),
    )
    assert (whole(*problem(), settings()).predictions["probe"] == -1).all()


def test_every_number_of_neighbours_is_as_if_searched_for_alone():
    features, labels, splits = problem()
    chosen = settings()
    for k in (1, 9):
        alone = chosen.model_copy(update={"knn": Knn(k=k, also_k=[])})
        expected = evaluate(features, labels, splits, alone)["knn_top1"]
        assert evaluate(features, labels, splits, chosen)[f"knn_{k}_top1"] == expected


def test_the_grid_is_noted_and_its_best_is_the_choice():
    done = whole(*problem(), settings(optimizer=["adam", "sgd"]))
    grid = done.features["grid"]
    assert len(grid) == 12 and {cell["optimizer"] for cell in grid} == {"adam", "sgd"}
    best = max(cell["val_top1"] for cell in grid)
    assert done.scores["probe_val_top1"] == best
    (chosen, *_) = [
        cell for cell in grid
        if (cell["optimizer"], cell["lr"], cell["weight_decay"])
        == tuple(done.scores[f"probe_best_{key}"] for key in ("optimizer", "lr", "weight_decay"))
    ]  # fmt: skip
    assert chosen["val_top1"] == best


def test_of_equal_optimisers_the_first_wins():
    done = whole(*problem(), settings(optimizer=["adamw", "adam"], weight_decay=[0.0]))
    assert done.scores["probe_best_optimizer"] == "adamw"  # without decay the two are the same


def test_more_labels_help():
    scores = evaluate(*problem(), settings(epochs=20))
    assert scores["fewlabels_10_top1"] < scores["fewlabels_50_top1"] <= scores["probe_top1"] + 0.05


def test_strips_show_the_nearest_training_images():
    features, labels, splits = problem()
    strips = whole(features, labels, splits, settings()).features["neighbours"]
    assert len(strips) == 8
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for found in strips:
        train = np.flatnonzero(splits == "train")
        similarity = unit[train] @ unit[found["row"]]
        expected = train[np.argsort(-similarity)[:8]]
        assert found["nearest"] == expected.tolist()
        assert found["similarity"] == pytest.approx(np.sort(similarity)[::-1][:8], abs=1e-3)
        assert found["label"] == labels[found["row"]]
        assert found["nearest_label"] == labels[expected].tolist()
        assert splits[found["row"]] in ("public", "private")


def test_the_map_shows_test_images():
    features, labels, splits = problem()
    found = whole(features, labels, splits, settings()).features["map"]
    assert set(splits[found["row"]]) == {"public", "private"} and len(found["x"]) == 150
    assert found["label"] == labels[found["row"]].tolist()


def test_probes_see_what_their_names_say(monkeypatch):
    """Rows and epochs of each training: the grid, the default probe, a tenth and a half of the labels."""
    seen = []
    fit = grid.fit_probes

    def spy(features, labels, classes, cells, **rest):
        seen.append((len(features), len(cells), rest["epochs"]))
        return fit(features, labels, classes, cells, **rest)

    monkeypatch.setattr(grid, "fit_probes", spy)
    features, labels, splits = problem()
    evaluate(features, labels, splits, settings())
    train = np.bincount(labels[splits == "train"])
    tenth, half = (sum(max(1, round(f * n)) for n in train.tolist()) for f in (0.1, 0.5))
    assert seen == [(300, 6, 5), (300, 1, 3), (tenth, 6, 5), (half, 6, 5)]


def test_per_class_scores_are_of_all_test_images():
    done = whole(*problem(), settings())
    label = done.predictions["label"]
    for name in ("knn", "probe"):
        hits = done.predictions[name] == label
        expected = np.mean([hits[label == c].mean() for c in np.unique(label)])
        assert done.scores[f"{name}_mean_per_class"] == pytest.approx(expected)


def test_rank_is_of_training_images_and_uniformity_of_the_others():
    features, labels, splits = problem()
    scores = evaluate(features, labels, splits, settings())
    train, held_out = (
        torch.from_numpy(features[(splits == "train") == of]) for of in (True, False)
    )
    assert scores["effective_rank"] == pytest.approx(effective_rank(train))
    assert scores["uniformity"] == pytest.approx(uniformity(held_out), rel=1e-6)


def test_weighted_votes_heed_their_temperature():
    """So hot that all neighbours weigh alike: the majority, but for ties. So cold that one decides."""
    features, labels, splits = problem()

    def weighted(temperature):
        chosen = settings().model_copy(
            update={"knn": Knn(k=9, temperature=temperature, also_k=[1])}
        )
        return evaluate(features, labels, splits, chosen)

    cold, hot = weighted(1e-4), weighted(0.5)
    assert cold["knn_weighted_top1"] == cold["knn_1_top1"] != hot["knn_weighted_top1"]


def test_chance_of_each_half_is_its_own():
    features, labels, splits = problem()
    most = np.bincount(labels[splits == "train"]).argmax()
    labels[np.flatnonzero(splits == "public")[:9]] = most  # more of it there than in private
    scores = evaluate(features, labels, splits, settings())
    for half in ("public", "private"):
        expected = (labels[splits == half] == most).mean()
        assert scores[f"chance_{half}_top1"] == pytest.approx(expected)
    assert scores["chance_public_top1"] != scores["chance_private_top1"]
