"""What features look like: closed forms and brute force."""

import math

import numpy as np
import pytest
import torch

from sslpipe.evaluation import structure
from sslpipe.evaluation.rank import effective_rank
from sslpipe.evaluation.structure import alignment, feature_map, uniformity


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_effective_rank_of_known_spectra():
    orthogonal, _ = torch.linalg.qr(random(60, 8))
    assert effective_rank(orthogonal) == pytest.approx(8)
    assert effective_rank(orthogonal[:, :3] @ random(3, 20)) <= 3
    assert effective_rank(torch.ones(50, 4)) == pytest.approx(1)
    assert effective_rank(torch.zeros(5, 4)) == 0
    # Two directions with shares 3/4 and 1/4.
    two = torch.zeros(2, 5)
    two[0, 0], two[1, 1] = 3.0, 1.0
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(two) == pytest.approx(math.exp(entropy))


@pytest.mark.parametrize("shape", [(200, 30), (30, 200)])
def test_effective_rank_by_singular_values(shape):
    features = random(*shape)
    singular = np.linalg.svd(features.double().numpy(), compute_uv=False)
    share = singular / singular.sum()
    expected = math.exp(-(share * np.log(share)).sum())
    assert effective_rank(features) == pytest.approx(expected)


def test_alignment_is_the_mean_squared_distance_of_unit_vectors():
    views = random(2, 50, 6)
    one, other = views.numpy()
    one, other = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (one, other))
    assert alignment(views) == pytest.approx(((one - other) ** 2).sum(axis=1).mean(), rel=1e-6)
    assert alignment(torch.stack([one_ := random(9, 4), 3 * one_])) == pytest.approx(0, abs=1e-12)
    assert alignment(torch.stack([one_, -one_])) == pytest.approx(4)


def test_uniformity_by_a_double_loop():
    features = random(30, 5)
    unit = (features / features.norm(dim=1, keepdim=True)).numpy().astype(np.float64)
    pairs = [math.exp(-2 * ((unit[i] - unit[j]) ** 2).sum()) for i in range(30) for j in range(i)]
    assert uniformity(features) == pytest.approx(math.log(np.mean(pairs)), rel=1e-6)
    assert uniformity(torch.ones(10, 3)) == pytest.approx(0, abs=1e-9)


def test_uniformity_of_many_is_of_some(monkeypatch):
    features = random(500, 5)
    monkeypatch.setattr(structure, "MOST_PAIRED", 100)
    some = uniformity(features)
    monkeypatch.setattr(structure, "MOST_PAIRED", 1000)
    assert some == pytest.approx(uniformity(features), abs=0.2)


def test_the_map_keeps_clusters_apart():
    centres = 20 * torch.eye(4, 12)
    labels = torch.arange(120) % 4
    places = feature_map(centres[labels] + random(120, 12), seed=0)
    assert places.shape == (120, 2)
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (labels[distance.argmin(axis=1)] == labels).float().mean() > 0.95
    assert (feature_map(centres[labels] + random(120, 12), seed=0) == places).all()


@pytest.mark.parametrize("number", [1, 4, 5, 12])
def test_a_map_of_few_images(number):
    assert feature_map(random(number, 6), seed=0).shape == (number, 2)
    assert not feature_map(torch.ones(number, 6), seed=0).any()
    assert feature_map(random(number, 1), seed=0).shape == (number, 2)


def test_a_map_of_features_that_have_nearly_collapsed():
    same = torch.ones(60, 6)
    same[30:] += 0.1 * random(30, 6)
    assert np.isfinite(feature_map(same, seed=0)).all()
    two = torch.ones(60, 6)
    two[30:, 0] = 2
    assert np.isfinite(feature_map(two, seed=0)).all()
