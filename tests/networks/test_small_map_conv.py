import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from sslpipe.networks import small_map_conv
from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.small_map_conv import SmallMapConv2d

# kernel, stride, padding, sides of the input: those of residual networks, then others.
GEOMETRIES = [
    (3, 1, 1, (1, 1)),
    (3, 1, 1, (2, 2)),
    (3, 1, 1, (3, 3)),
    (3, 2, 1, (2, 2)),
    (3, 2, 1, (3, 3)),
    (3, 2, 1, (5, 5)),
    (1, 1, 0, (3, 3)),
    (1, 2, 0, (3, 3)),
    (1, 2, 0, (4, 4)),
    (7, 2, 3, (4, 4)),
    (5, 3, 2, (7, 4)),
    (2, 2, 0, (4, 6)),
    (3, 1, 1, (1, 4)),
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "sides"), GEOMETRIES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_those_of_autograd(
    kernel, stride, padding, sides, layout, precision, monkeypatch
):
    torch.manual_seed(0)
    conv = SmallMapConv2d(6, 5, kernel, stride, padding, bias=False).to(memory_format=layout)
    images = torch.randn(4, 6, *sides).to(memory_format=layout).requires_grad_()
    used = []
    for name in ("_weight_gradient", "_as_matrix"):
        original = getattr(small_map_conv, name)
        noted = lambda *given, name=name, call=original: used.append(name) or call(*given)  # noqa: E731
        monkeypatch.setattr(small_map_conv, name, noted)

    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        output = conv(images)
    upstream = torch.randn_like(output)
    output.backward(upstream)

    assert output.dtype == precision
    assert images.grad.dtype == conv.weight.grad.dtype == torch.float32
    # In double precision from the operands that the kernel was given: only its own rounding is left.
    operands = [of.detach().to(precision).double().requires_grad_() for of in (images, conv.weight)]
    expected = F.conv2d(*operands, stride=stride, padding=padding)
    for_images, for_weight = torch.autograd.grad(expected, operands, upstream.double())
    # A rounding of bf16 is 0.4 % at most of what is rounded, which may be a part of a sum.
    close = (
        {"rtol": 1e-5, "atol": 1e-5} if precision == torch.float32 else {"rtol": 0.01, "atol": 0.06}
    )
    torch.testing.assert_close(output.double(), expected, **close)
    torch.testing.assert_close(images.grad.double(), for_images, **close)
    torch.testing.assert_close(conv.weight.grad.double(), for_weight, **close)
    one_product = images.shape[2:].numel() < kernel**2
    assert ("_weight_gradient" not in used) == one_product
    assert used


def test_gradients_of_a_whole_network_at_32_pixels():
    """In double precision no small map is recognised, so the usual kernels give what to expect."""
    torch.manual_seed(0)
    network = build_backbone("resnet18")
    images, upstream = torch.randn(8, 3, 32, 32), torch.randn(8, 512)
    network(images).backward(upstream)
    got = [parameter.grad.double() for parameter in network.parameters()]

    network.zero_grad()
    network.double()(images.double()).backward(upstream.double())
    for found, parameter in zip(got, network.parameters(), strict=True):
        # Rounding may turn a ReLU off or on, which moves single entries by a per cent or two.
        assert (found - parameter.grad).norm() < 0.05 * parameter.grad.norm()


@pytest.mark.parametrize(
    ("images", "autocast"),
    [
        (torch.randn(4, 6, 4, 4), None),  # a larger map
        (torch.randn(4, 6, 4, 4), torch.bfloat16),
        (torch.randn(4, 6, 2, 2).double(), None),
        (torch.randn(4, 6, 2, 2), torch.float16),
        (torch.randn(6, 2, 2), None),  # not a batch
        (torch.randn(4, 6, 2, 2, device="meta"), None),
    ],
)
def test_elsewhere_it_is_an_ordinary_convolution(images, autocast, monkeypatch):
    def fail(*given):
        raise AssertionError("a product of matrices was made")

    monkeypatch.setattr(small_map_conv, "_as_matrix", fail)
    conv = SmallMapConv2d(6, 5, 3, padding=1, bias=False, device=images.device, dtype=images.dtype)
    with torch.autocast("cpu", autocast, enabled=autocast is not None):
        output = conv(images)
    output.sum().backward()
    assert conv.weight.grad.shape == conv.weight.shape


@pytest.mark.parametrize("side", [2, 3])
def test_two_calls_add_their_gradients_and_an_empty_one_none(side):
    torch.manual_seed(0)
    conv = SmallMapConv2d(6, 5, 3, padding=1, bias=False)
    batches = [torch.randn(n, 6, side, side) for n in (4, 0, 2)]
    outputs = [conv(images) for images in batches]
    assert [len(output) for output in outputs] == [4, 0, 2]
    torch.cat(outputs).square().sum().backward()
    weight = conv.weight.detach().clone().requires_grad_()
    F.conv2d(torch.cat(batches), weight, padding=1).square().sum().backward()
    torch.testing.assert_close(conv.weight.grad, weight.grad)


def test_a_tap_sums_its_pairs_without_rounding_between():
    """In bf16 the 256 beside the small gradients would swallow them one by one."""
    conv = SmallMapConv2d(1, 1, 3, padding=1, bias=False)
    images = torch.tensor([[256.0, 0.75], [0.75, 0.75]]).reshape(1, 1, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        output = conv(images)
    output.backward(torch.ones_like(output))
    assert conv.weight.grad[0, 0, 1, 1] == 258  # 258.25, rounded once; 256 if rounded each time


@pytest.mark.parametrize("side", [2, 3])
def test_a_frozen_convolution_passes_the_gradient_on(side):
    conv = SmallMapConv2d(6, 5, 3, padding=1, bias=False).requires_grad_(False)
    images = torch.randn(4, 6, side, side, requires_grad=True)
    conv(images).sum().backward()
    assert conv.weight.grad is None
    expected = F.conv2d(images, conv.weight, padding=1).sum()
    torch.testing.assert_close(images.grad, torch.autograd.grad(expected, images)[0])


@pytest.mark.parametrize("options", [{"bias": True}, {"groups": 2}, {"dilation": 2}])
def test_options_that_the_products_lack_are_heeded(options):
    torch.manual_seed(0)
    conv = SmallMapConv2d(4, 6, 3, padding=1, **({"bias": False} | options))
    usual = nn.Conv2d(4, 6, 3, padding=1, **({"bias": False} | options))
    usual.load_state_dict(conv.state_dict())
    images = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(conv(images), usual(images))


def test_every_convolution_of_a_backbone_has_it():
    network = build_backbone("wide_resnet50_2")
    kinds = [type(module) for module in network.modules() if isinstance(module, nn.Conv2d)]
    theirs = torchvision.models.wide_resnet50_2().modules()
    assert kinds == [SmallMapConv2d] * sum(isinstance(module, nn.Conv2d) for module in theirs)
