"""Statistics over ranks; that two ranks equal one is tests/training/test_several_ranks.py."""

import copy

import pytest
import torch
from torch import nn

from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.sync_batchnorm import SyncBatchNorm, normalise_across_ranks


def test_one_process_keeps_torchs_fast_layers():
    network = build_backbone("resnet18")
    normalise_across_ranks(network, sync=True)
    assert not any(isinstance(module, SyncBatchNorm) for module in network.modules())


@pytest.mark.parametrize("shape", [(8, 5), (8, 5, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_one_rank_it_is_batchnorm(shape, dtype):
    torch.manual_seed(0)
    plain = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(5)
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    synchronised = SyncBatchNorm(5)
    synchronised.load_state_dict(plain.state_dict())
    x = (3 * torch.randn(shape) + 100).to(dtype)  # far from 0, where E[x²] - E[x]² would cancel
    direction = torch.randn(shape).to(dtype)
    results = []
    for norm in (plain, synchronised):
        inputs = copy.deepcopy(x).requires_grad_()
        y = norm(inputs)
        gradients = torch.autograd.grad((y * direction).sum(), [inputs, norm.weight, norm.bias])
        results.append((y, *gradients, norm.running_mean, norm.running_var))
        assert y.dtype == dtype
    loose = (
        {"rtol": 5e-2, "atol": 5e-2} if dtype == torch.bfloat16 else {"rtol": 1e-3, "atol": 1e-4}
    )
    for actual, expected in zip(*reversed(results), strict=True):
        torch.testing.assert_close(actual, expected, **loose)
    assert torch.equal(plain.num_batches_tracked, synchronised.num_batches_tracked)
    torch.testing.assert_close(plain.eval()(x), synchronised.eval()(x))
