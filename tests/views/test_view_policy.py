"""Drawing view parameters: keyed, and distributed as torchvision's own draws."""

from dataclasses import fields, replace

import pytest
import torch
from torchvision.transforms import ColorJitter, RandomResizedCrop
from view_helpers import draw_by, drawn

from sslpipe.views.policy import ViewPolicy

POLICY = ViewPolicy(size=32)
KEY = {"seed": 3, "epoch": 5, "view": 1, "image_height": 60, "image_width": 90}


def _equal(a, b) -> bool:
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


def test_the_same_key_gives_the_same_parameters_in_any_batch():
    everyone = draw_by(POLICY, indices=torch.arange(1000), **KEY)
    some = torch.tensor([999, 0, 512, 7, 7])
    assert _equal(draw_by(POLICY, indices=some, **KEY), everyone[some])
    assert _equal(draw_by(POLICY, indices=some[:1], **KEY), everyone[some[:1]])
    assert len(everyone[10:20]) == 10


@pytest.mark.parametrize("word", ["seed", "epoch", "view"])
def test_another_key_gives_other_parameters(word):
    indices = torch.arange(500)
    one = draw_by(POLICY, indices=indices, **KEY)
    other = draw_by(POLICY, indices=indices, **{**KEY, word: KEY[word] + 1})
    shifted = draw_by(POLICY, indices=indices + 1, **KEY)
    for changed in (other, shifted):
        assert (one.factors == changed.factors).float().mean() < 0.01
        assert (one.sigma == changed.sigma).float().mean() < 0.01
        assert (one.top == changed.top).float().mean() < 0.3


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Two-sample Kolmogorov-Smirnov statistic."""
    values = torch.cat([a, b]).unique()
    below = [torch.searchsorted(x.sort().values, values, right=True) / len(x) for x in (a, b)]
    return (below[0] - below[1]).abs().max().item()


@pytest.mark.parametrize(
    "height, width, scale",
    [
        (96, 96, (0.2, 1.0)),
        (60, 90, (0.2, 1.0)),
        (64, 64, (0.05, 0.2)),
        (40, 64, (0.9, 1.0)),
        (9, 9, (0.5, 1.0)),  # whole sides are common
    ],
)
def test_crops_are_distributed_as_torchvisions(height, width, scale):
    count = 4000
    policy = replace(POLICY, scale=scale)
    ours = draw_by(
        policy,
        indices=torch.arange(count),
        **{**KEY, "image_height": height, "image_width": width},
    )
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    theirs = [RandomResizedCrop.get_params(image, scale, policy.ratio) for _ in range(count)]
    top, left, h, w = torch.tensor(theirs).T.double()
    # 1.95 * sqrt(2 / count) is the 0.1 % point of the two-sample statistic.
    limit = 1.95 * (2 / count) ** 0.5
    assert _distance(ours.height.double(), h) < limit
    assert _distance(ours.width.double(), w) < limit
    assert _distance((ours.height * ours.width).double(), h * w) < limit
    assert _distance(ours.width.double() / ours.height, w / h) < limit
    assert _distance(ours.top.double(), top) < limit
    assert _distance(ours.left.double(), left) < limit
    assert (ours.top >= 0).all() and (ours.top + ours.height <= height).all()
    assert (ours.left >= 0).all() and (ours.left + ours.width <= width).all()


@pytest.mark.parametrize("height, width", [(10, 100), (100, 10), (30, 31)])
def test_the_fallback_is_torchvisions_central_crop(height, width):
    # A ratio of exactly 1 never fits the whole area of an image that is not square.
    ratio = (0.5, 0.6) if height == 30 else (3 / 4, 4 / 3)
    policy = replace(POLICY, scale=(0.999, 1.0), ratio=ratio)
    expected = RandomResizedCrop.get_params(
        torch.empty(3, height, width), list(policy.scale), list(policy.ratio)
    )
    size = {"image_height": height, "image_width": width}
    ours = draw_by(policy, indices=torch.arange(50), **{**KEY, **size})
    box = torch.stack([ours.top, ours.left, ours.height, ours.width], dim=1)
    assert torch.equal(box, torch.tensor(expected).expand(50, 4))


def test_jitter_is_distributed_as_torchvisions():
    count = 4000
    policy = replace(POLICY, brightness=1.5, contrast=0.2, saturation=0.7, hue=0.3)
    ours = draw_by(policy, indices=torch.arange(count), **KEY)
    torch.manual_seed(0)
    jitter = ColorJitter(1.5, 0.2, 0.7, 0.3)
    theirs = [
        jitter.get_params(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
        for _ in range(count)
    ]
    limit = 1.95 * (2 / count) ** 0.5
    for operation in range(4):
        factors = torch.tensor([row[1 + operation] for row in theirs])
        assert _distance(ours.factors[:, operation], factors) < limit
    # Every one of the 24 orders, about equally often.
    assert torch.equal(ours.order.sort(dim=1).values, torch.arange(4).expand(count, 4))
    counts = (ours.order * torch.tensor([64, 16, 4, 1])).sum(dim=1).unique(return_counts=True)[1]
    expected = count / 24
    assert len(counts) == 24
    assert ((counts - expected) ** 2 / expected).sum() < 52  # chi-squared, 23 d.o.f., 0.05 %


def test_rates_and_sigma_are_the_policys():
    count = 20_000
    policy = replace(POLICY, flip=0.3, jitter=0.6, grayscale=0.1, blur=0.9, blur_sigma=(0.5, 1.5))
    p = draw_by(policy, indices=torch.arange(count), **KEY)
    for name in ("flip", "jitter", "grayscale", "blur"):
        rate = getattr(policy, name)
        tolerance = 4 * (rate * (1 - rate) / count) ** 0.5
        assert abs(getattr(p, name).float().mean().item() - rate) < tolerance
    assert _distance(p.sigma, torch.rand(count) + 0.5) < 1.95 * (2 / count) ** 0.5
    # The decisions are independent of each other.
    decisions = torch.stack([p.flip, p.jitter, p.grayscale, p.blur]).double()
    assert (torch.corrcoef(decisions) - torch.eye(4)).abs().max() < 4 / count**0.5


def test_the_draws_are_independent_of_each_other():
    count = 20_000
    p = draw_by(POLICY, indices=torch.arange(count), **KEY)
    columns = [p.top / (61 - p.height), p.left / (91 - p.width), p.flip, p.jitter]
    columns += [p.grayscale, p.blur, p.sigma, *p.factors.T]
    # The slot of each operation; the last follows from the other three.
    columns += [*p.order.argsort(dim=1).T[:3]]
    correlation = torch.corrcoef(torch.stack([column.double() for column in columns]))
    correlation[-3:, -3:] = torch.eye(3)
    assert (correlation - torch.eye(len(columns))).abs().max() < 4.5 / count**0.5


def test_never_and_always():
    images = torch.zeros(200, 8, 8, 3, dtype=torch.uint8)
    for rate in (0.0, 1.0):
        policy = replace(POLICY, flip=rate, jitter=rate, grayscale=rate, blur=rate)
        p = drawn(policy, images)
        for name in ("flip", "jitter", "grayscale", "blur"):
            assert (getattr(p, name) == bool(rate)).all()


def test_the_default_kernel_is_a_tenth_of_the_side_and_at_least_3():
    sizes = {8: 3, 32: 3, 48: 5, 64: 7, 96: 9, 224: 23}
    assert {size: ViewPolicy(size=size).blur_kernel for size in sizes} == sizes
    assert ViewPolicy(size=96, blur_kernel=5).blur_kernel == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"flip": 1.1},
        {"grayscale": -0.1},
        {"scale": (0.5, 1.5)},
        {"scale": (0.0, 1.0)},
        {"ratio": (2.0, 1.0)},
        {"hue": 0.6},
        {"contrast": -0.1},
        {"blur_sigma": (0.0, 1.0)},
        {"blur_kernel": 4},
        {"size": 4, "blur_kernel": 9},
    ],
)
def test_an_impossible_policy_is_refused(wrong):
    with pytest.raises(ValueError):
        ViewPolicy(**{"size": 32, **wrong})
