import pytest
import torch
from torch import nn

from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.split_batchnorm import SplitBatchNorm2d


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("groups", [1, 4])
def test_equals_batchnorm_of_each_chunk(memory_format, groups):
    torch.manual_seed(0)
    x = (torch.randn(16, 5, 7, 6) * 3 + 1).contiguous(memory_format=memory_format)
    x.requires_grad_()
    split = SplitBatchNorm2d(5, groups).train()
    nn.init.normal_(split.weight)
    nn.init.normal_(split.bias)
    chunk_norms = []
    expected = []
    for chunk in x.chunk(groups):
        norm = nn.BatchNorm2d(5).train()
        norm.load_state_dict(split.state_dict())
        expected.append(norm(chunk))
        chunk_norms.append(norm)
    expected = torch.cat(expected)
    direction = torch.randn_like(expected)
    (expected_gradient,) = torch.autograd.grad((expected * direction).sum(), x)

    actual = split(x)
    (gradient,) = torch.autograd.grad((actual * direction).sum(), x)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(gradient, expected_gradient)
    assert actual.is_contiguous(memory_format=memory_format)
    for name in ("running_mean", "running_var"):
        mean = torch.stack([getattr(norm, name) for norm in chunk_norms]).mean(0)
        torch.testing.assert_close(getattr(split, name), mean)


def test_evaluation_is_ordinary_batchnorm():
    split, plain = SplitBatchNorm2d(3, 4), nn.BatchNorm2d(3)
    split(torch.randn(8, 3, 4, 4))
    plain.load_state_dict(split.state_dict())
    x = torch.randn(6, 3, 4, 4)  # a size that does not divide into the groups
    torch.testing.assert_close(split.eval()(x), plain.eval()(x))


def test_refuses_a_batch_that_does_not_divide():
    with pytest.raises(ValueError, match="10 does not divide into 4"):
        SplitBatchNorm2d(3, 4)(torch.randn(10, 3, 2, 2))


def test_permutation_matters_only_with_groups():
    torch.manual_seed(0)
    images, order = torch.randn(16, 3, 32, 32), torch.randperm(16)
    difference = {}
    for groups in (1, 4):
        torch.manual_seed(1)
        network = build_backbone("resnet18", bn_groups=groups).double().train()
        with torch.no_grad():
            plain = network(images.double())
            shuffled = network(images[order].double())[order.argsort()]
        difference[groups] = (plain - shuffled).abs().max().item()
    assert difference[1] < 1e-10
    assert difference[4] > 1e-2


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_one_piece_is_chunk_by_chunk(memory_format, dtype):
    """What a compiler is given and what runs without one."""
    torch.manual_seed(0)
    norm = SplitBatchNorm2d(5, 4).train()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = (torch.randn(16, 5, 7, 6) * 3 + 1).to(dtype).contiguous(memory_format=memory_format)
    x.requires_grad_()
    direction = torch.randn_like(x)
    results = []
    for function in (norm._chunk_by_chunk, norm._in_one_piece):
        y, means, variances = function(x)
        gradients = torch.autograd.grad((y * direction).sum(), [x, norm.weight, norm.bias])
        results.append((y, means, variances, *gradients))
        assert y.dtype == dtype and y.is_contiguous(memory_format=memory_format)
    loose = (
        {"rtol": 2e-2, "atol": 5e-2} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
    )
    for chunks, piece in zip(*results, strict=True):
        torch.testing.assert_close(piece, chunks, **loose)
