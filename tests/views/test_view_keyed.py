"""The counter-based random numbers."""

import torch

from sslpipe.views.keyed import sample_keys, uniforms


def _splitmix64(state: int) -> int:
    """The first output of SplitMix64 seeded with `state`, in unbounded integers, as published."""
    z = (state + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_the_reference_gives_the_generators_known_first_output():
    assert _splitmix64(1234567) == 6457827717110365317


def test_keys_and_uniforms_are_chains_of_splitmix64():
    indices = torch.tensor([0, 1, 1281166, 2**40])
    keys = sample_keys(indices, seed=2**64 - 7, epoch=3, view=9)
    for index, key, row in zip(indices.tolist(), keys.tolist(), uniforms(keys, 4), strict=True):
        expected = 0
        for word in (2**64 - 7, 3, 9, index):
            expected = _splitmix64(expected + word)
        assert key % 2**64 == expected
        assert row.tolist() == [(_splitmix64(expected + n) >> 40) / 2**24 for n in range(4)]


def test_keys_depend_on_every_word_and_on_their_order():
    words = [(s, e, v) for s in (0, 1, 2, -5, 2**63, 2**64 - 1) for e in range(4) for v in range(4)]
    indices = torch.arange(100)
    keys = torch.cat([sample_keys(indices, seed=s, epoch=e, view=v) for s, e, v in words])
    assert len(keys.unique()) == len(words) * len(indices)


def test_uniforms_are_uniform_and_independent():
    u = uniforms(sample_keys(torch.arange(20_000), seed=0, epoch=0, view=0), 35)
    assert u.min() >= 0 and u.max() < 1
    # Kolmogorov-Smirnov distance of each slot; 2.3 / sqrt(n) is its 0.005 % point.
    ranks = (torch.arange(len(u)) + 0.5) / len(u)
    distance = (u.sort(dim=0).values - ranks[:, None]).abs().amax(dim=0)
    assert distance.max() < 2.3 / len(u) ** 0.5
    # Correlation between slots, and of each slot between neighbouring images, views and epochs.
    correlation = torch.corrcoef(u.T) - torch.eye(35)
    assert correlation.abs().max() < 5 / len(u) ** 0.5
    others = [u.roll(1, dims=0)]
    for view, epoch in ((1, 0), (0, 1)):
        keys = sample_keys(torch.arange(20_000), seed=0, epoch=epoch, view=view)
        others.append(uniforms(keys, 35))
    for other in others:
        covariance = ((u - 0.5) * (other - 0.5)).mean(dim=0) * 12
        assert covariance.abs().max() < 5 / len(u) ** 0.5
