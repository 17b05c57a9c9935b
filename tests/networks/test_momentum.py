import math

import pytest
import torch
from torch import nn

from sslpipe.networks.momentum import ema_update, momentum_at, momentum_copy


def test_copy_is_equal_detached_and_without_gradient():
    network = nn.Linear(3, 2)
    copy = momentum_copy(network)
    torch.testing.assert_close(copy.weight, network.weight)
    assert not any(p.requires_grad for p in copy.parameters())
    with torch.no_grad():
        network.weight += 1
    assert not torch.equal(copy.weight, network.weight)


def test_update_is_the_moving_average_and_leaves_buffers():
    online, target = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
    nn.init.constant_(online.weight, 3.0)
    online.running_mean.fill_(9.0)
    ema_update(target, online, 0.75)
    torch.testing.assert_close(target.weight, torch.full((4,), 0.75 * 1 + 0.25 * 3))
    assert target.running_mean.eq(0).all()


def test_small_moves_are_not_lost_under_bf16_autocast():
    online, target = nn.Linear(4, 4), nn.Linear(4, 4)
    nn.init.constant_(online.weight, 1.001)
    nn.init.constant_(target.weight, 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(1000):
            ema_update(target, online, 0.999)
    assert target.weight.dtype == torch.float32
    expected = 1.001 - 0.001 * 0.999**1000
    torch.testing.assert_close(target.weight, torch.full((4, 4), expected), atol=2e-5, rtol=0)


def test_cosine_momentum_starts_at_its_value_and_ends_at_one():
    assert momentum_at(0, 100, 0.99, "cosine") == pytest.approx(0.99)
    assert momentum_at(100, 100, 0.99, "cosine") == pytest.approx(1.0)
    assert momentum_at(50, 100, 0.99, "cosine") == pytest.approx(1 - 0.01 / 2)
    quarter = 1 - 0.01 * (math.cos(math.pi / 4) + 1) / 2
    assert momentum_at(25, 100, 0.99, "cosine") == pytest.approx(quarter)


def test_momentum_may_stay_or_rise_along_a_line():
    assert momentum_at(37, 100, 0.99, "constant") == 0.99
    line = [momentum_at(step, 100, 0.9, "linear") for step in (0, 50, 100)]
    assert line == pytest.approx([0.9, 0.95, 1.0])
