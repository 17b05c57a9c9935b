"""The three renderers against each other, given the same parameters."""

from dataclasses import replace

import pytest
import torch
import torchvision.transforms.v2.functional as F
from view_helpers import drawn, only, photographs

from sslpipe.views import batched_views, kornia_views, torchvision_views
from sslpipe.views.policy import BRIGHTNESS, CONTRAST, HUE, SATURATION, ViewPolicy

LEVEL = 1 / 255 + 1e-6

EFFECTS = ("flip", "jitter", "grayscale", "blur")
STRONG = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.5, "jitter": 1.0}

# Source height and width, policy: same size, enlarged, reduced, both at once, local views.
SHAPES = [
    (48, 48, ViewPolicy(size=48)),
    (32, 32, ViewPolicy(size=56)),
    (96, 96, ViewPolicy(size=24)),
    (40, 72, ViewPolicy(size=33)),
    (96, 64, ViewPolicy(size=48, scale=(0.05, 0.3))),
    (8, 8, ViewPolicy(size=1)),
]


@pytest.mark.parametrize("height, width, policy", SHAPES)
def test_batched_is_torchvision_to_a_level(height, width, policy):
    images = photographs(40, height, width)
    parameters = drawn(policy, images)
    expected = torchvision_views.render(images, parameters, policy)
    for render in (batched_views.render_pieces, batched_views.render_static):
        views = render(images, parameters, policy)
        assert views.shape == (40, 3, policy.size, policy.size)
        assert views.dtype == torch.float32
        assert (views - expected).abs().max() <= LEVEL


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("height, width, policy", SHAPES[:4])
def test_each_effect_alone_is_torchvisions(height, width, policy, effect):
    images = photographs(12, height, width)
    policy = replace(policy, flip=1.0, jitter=1.0, grayscale=1.0, blur=1.0)
    parameters = only(drawn(policy, images), effect)
    plain = torchvision_views.render(images, only(parameters), policy)
    expected = torchvision_views.render(images, parameters, policy)
    views = batched_views.render(images, parameters, policy)
    # An effect on its own leaves no room for errors to add up.
    assert (views - expected).abs().max() < 1e-4
    assert (views - plain).abs().amax(dim=(1, 2, 3)).median() > 0.02


@pytest.mark.parametrize("operation", [BRIGHTNESS, CONTRAST, SATURATION, HUE])
def test_each_jitter_operation_alone_is_torchvisions(operation):
    policy = ViewPolicy(size=32, **STRONG)
    images = photographs(30, 32, 32)
    parameters = only(drawn(policy, images), "jitter")
    neutral = torch.tensor([1.0, 1.0, 1.0, 0.0]).repeat(30, 1)
    neutral[:, operation] = parameters.factors[:, operation]
    parameters = replace(parameters, factors=neutral)
    expected = torchvision_views.render(images, parameters, policy)
    views = batched_views.render(images, parameters, policy)
    assert (views - expected).abs().max() < 1e-5


def test_strong_jitter_in_every_order_is_torchvisions():
    policy = ViewPolicy(size=24, **STRONG)
    images = photographs(24, 24, 24)
    orders = torch.cartesian_prod(*[torch.arange(4)] * 4)
    orders = orders[(orders.sort(dim=1).values == torch.arange(4)).all(dim=1)]
    parameters = replace(only(drawn(policy, images), "jitter"), order=orders)
    expected = torchvision_views.render(images, parameters, policy)
    views = batched_views.render(images, parameters, policy)
    assert (views - expected).abs().max() <= LEVEL
    # The order matters on these images, so one order for all would not pass.
    same = replace(parameters, order=orders[:1].expand(24, 4))
    assert (batched_views.render(images, same, policy) - expected).abs().max() > 10 * LEVEL


def test_an_untouched_view_is_the_image():
    policy = ViewPolicy(size=40, scale=(1.0, 1.0), ratio=(1.0, 1.0))
    images = photographs(6, 40, 40)
    parameters = only(drawn(policy, images))
    expected = images.permute(0, 3, 1, 2) / 255
    for render in (batched_views.render, torchvision_views.render, kornia_views.render):
        assert (render(images, parameters, policy) - expected).abs().max() < 1e-5


def test_the_two_paths_of_batched_agree_across_pieces(monkeypatch):
    monkeypatch.setattr(batched_views, "_PIECE_PIXELS", 7 * 32 * 32)
    policy = ViewPolicy(size=32)
    images = photographs(50, 48, 36)
    parameters = drawn(policy, images)
    pieces = batched_views.render_pieces(images, parameters, policy)
    static = batched_views.render_static(images, parameters, policy)
    torch.testing.assert_close(pieces, static, rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", [batched_views, torchvision_views, kornia_views])
def test_a_view_does_not_depend_on_its_batch(backend):
    policy = ViewPolicy(size=32)
    images = photographs(30, 40, 40)
    together = backend.render(images, drawn(policy, images), policy)
    some = torch.tensor([29, 3, 17, 4])
    alone = backend.render(images[some], drawn(policy, images[some], indices=some), policy)
    torch.testing.assert_close(alone, together[some], rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", [batched_views, torchvision_views, kornia_views])
def test_views_are_finite_and_in_range(backend):
    policy = ViewPolicy(size=32, **STRONG)
    images = torch.cat([photographs(40, 40, 40), torch.full((20, 40, 40, 3), 255).byte()])
    images[50:] = 0
    before = images.clone()
    views = backend.render(images, drawn(policy, images), policy)
    assert views.isfinite().all() and views.min() >= 0 and views.max() <= 1
    assert torch.equal(images, before)


@pytest.mark.parametrize("size", [20, 48])
def test_white_stays_white(size):
    """Up to the edge, and never above 1 by rounding."""
    policy = ViewPolicy(size=size, scale=(0.5, 1.0), jitter=0.0, blur=0.9)
    images = torch.full((100, 30, 30, 3), 255, dtype=torch.uint8)
    parameters = drawn(policy, images)
    renders = [backend.render for backend in (torchvision_views, kornia_views)]
    renders += [batched_views.render_pieces, batched_views.render_static]
    for render in renders:
        views = render(images, parameters, policy)
        assert views.max() <= 1 and views.min() > 1 - 1e-3


def test_batched_keeps_float32_under_autocast():
    policy = ViewPolicy(size=32)
    images = photographs(8, 40, 40)
    parameters = drawn(policy, images)
    expected = batched_views.render(images, parameters, policy)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(batched_views.render(images, parameters, policy), expected)


def test_blur_kernels_are_torchvisions():
    impulse = torch.zeros(1, 3, 41, 41)
    impulse[:, :, 20, 20] = 1
    sigma = torch.tensor([0.1, 0.35, 1.0, 2.0])
    kernels = batched_views._blur_kernels(sigma, 9)
    for kernel, s in zip(kernels, sigma.tolist(), strict=True):
        expected = F.gaussian_blur(impulse, [9, 9], [s, s])
        blurred = batched_views._blur(impulse, kernel[None])
        torch.testing.assert_close(blurred, expected, rtol=0, atol=1e-6)


# kornia's crop is another resampling rule, so its pixels are compared where the rules meet: crops
# that are the whole image need no resampling. What is left is the luminance weight and rounding.
def test_kornia_is_torchvision_without_resampling():
    policy = ViewPolicy(size=40, scale=(1.0, 1.0), ratio=(1.0, 1.0))
    images = photographs(60, 40, 40)
    parameters = drawn(policy, images)
    expected = torchvision_views.render(images, parameters, policy)
    views = kornia_views.render(images, parameters, policy)
    assert (views - expected).abs().max() < 1.5 / 255


def test_kornia_enlarges_as_torchvision_but_for_the_edge():
    policy = ViewPolicy(size=64)
    images = photographs(60, 48, 48)
    parameters = only(drawn(policy, images), "flip")
    expected = torchvision_views.render(images, parameters, policy)
    error = (kornia_views.render(images, parameters, policy) - expected).abs()
    # An enlarged crop's edge is at most one source pixel wide: size / the smallest crop side.
    enlarged = (parameters.height < 48) & (parameters.width < 48)
    edge = 64 // int(torch.minimum(parameters.height, parameters.width).min()) + 1
    assert error[enlarged, :, edge:-edge, edge:-edge].max() < 1e-3
    assert error.mean() < 0.01


def test_the_backends_have_the_same_effect_on_average():
    policy = ViewPolicy(size=48)
    images = photographs(200, 48, 48)
    parameters = drawn(policy, images)
    reference = torchvision_views.render(images, parameters, policy)
    for backend in (kornia_views, batched_views):
        views = backend.render(images, parameters, policy)
        for statistic in (_brightness, _contrast, _colourfulness, _roughness):
            expected, found = statistic(reference), statistic(views)
            assert torch.corrcoef(torch.stack([expected, found]))[0, 1] > 0.98
            assert abs(found.mean() / expected.mean() - 1) < 0.02
        gray = (views.amax(dim=1) - views.amin(dim=1)).amax(dim=(1, 2)) < 1e-4
        assert torch.equal(gray, parameters.grayscale)


def _brightness(x):
    return x.mean(dim=(1, 2, 3))


def _contrast(x):
    return x.mean(dim=1).std(dim=(1, 2))


def _colourfulness(x):
    return x.std(dim=1).mean(dim=(1, 2))


def _roughness(x):
    return x.diff(dim=3).abs().mean(dim=(1, 2, 3))
