import copy

import pytest
import torch
from torch import nn

from sslpipe.optim.optimizers import Rate, build_optimizer, set_step
from sslpipe.schema.methods.base import Optimizer


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    frozen = nn.Linear(2, 2).requires_grad_(False)
    return nn.Sequential(net, frozen)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lars"])
def test_only_weights_of_layers_decay(name):
    """With a zero gradient, a step moves exactly what is decayed."""
    net = network()
    before = {n: p.clone() for n, p in net.named_parameters()}
    settings = Optimizer(optimizer=name, lr=0.1, weight_decay=0.5)
    optimizer = build_optimizer(net, settings)
    for p in net.parameters():
        if p.requires_grad:
            p.grad = torch.zeros_like(p)
    optimizer.step()
    moved = {n for n, p in net.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"0.0.weight", "0.3.weight"}


def test_steps_equal_torchs_unfused_optimizers():
    for name, reference in (
        ("adam", lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1)),
    ):
        ours, theirs = nn.Linear(5, 3, bias=False), nn.Linear(5, 3, bias=False)
        theirs.load_state_dict(ours.state_dict())
        settings = Optimizer(optimizer=name, lr=1.0, weight_decay=0.1)
        pair = (build_optimizer(ours, settings), ours), (reference(theirs.parameters()), theirs)
        for k in range(5):
            x = torch.randn(4, 5, generator=torch.Generator().manual_seed(k))
            set_step(pair[0][0], 0.01, 0.01, 0.1)
            for optimizer, net in pair:
                optimizer.zero_grad()
                net(x).pow(2).sum().backward()
                optimizer.step()
        torch.testing.assert_close(ours.weight, theirs.weight)


def test_lars_is_the_papers_layer_by_layer():
    """You et al. 2017, in plain loops: the trust ratio for weights, plain SGD for the rest."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    with torch.no_grad():
        net[2].weight.zero_()  # no length: a trust ratio of 1
    optimizer = build_optimizer(net, Optimizer(optimizer="lars", lr=1.0, weight_decay=0.1))
    expected = [p.detach().clone() for p in net.parameters()]
    velocity = [torch.zeros_like(p) for p in expected]
    for step in range(4):
        lr = 0.5 / (step + 1)
        set_step(optimizer, lr, 0.5, 0.1)
        optimizer.zero_grad()
        x = torch.randn(7, 6, generator=torch.Generator().manual_seed(step))
        (net(x) - 1).square().sum().backward()
        for i, p in enumerate(net.parameters()):
            update = p.grad.clone()
            if p.ndim > 1:
                update += 0.1 * expected[i]
                if expected[i].norm() > 0 and update.norm() > 0:
                    update *= 1e-3 * expected[i].norm() / update.norm()
            velocity[i] = 0.9 * velocity[i] + update
            expected[i] = expected[i] - lr * velocity[i]
        optimizer.step()
        for actual, wanted in zip(net.parameters(), expected, strict=True):
            torch.testing.assert_close(actual.detach(), wanted)


def test_lars_goes_on_from_its_state():
    nets = [network(), network()]
    settings = Optimizer(optimizer="lars", lr=0.1)
    optimizers = [build_optimizer(net, settings) for net in nets]
    for _ in range(2):
        for p in nets[0].parameters():
            p.grad = torch.ones_like(p) if p.requires_grad else None
        optimizers[0].step()
    nets[1].load_state_dict(nets[0].state_dict())
    optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
    for net, optimizer in zip(nets, optimizers, strict=True):
        for p in net.parameters():
            p.grad = torch.ones_like(p) if p.requires_grad else None
        optimizer.step()
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("lr", [0.3, 1e-4])
def test_lars_with_clip_moves_no_layer_further_than_sgd_would(lr):
    """As NVIDIA's LARC: the lower of the layer's own rate and `lr`."""
    torch.manual_seed(0)
    net = nn.Linear(6, 5, bias=False)
    settings = Optimizer(optimizer="lars", lr=1.0, lars={"trust": 0.02, "clip": True})
    optimizer = build_optimizer(net, settings)
    set_step(optimizer, lr, lr, 0.1)
    before = net.weight.detach().clone()
    net(torch.randn(7, 6)).square().sum().backward()
    update = net.weight.grad + 0.1 * before
    optimizer.step()
    own = 0.02 * before.norm() / update.norm()
    torch.testing.assert_close(net.weight, before - min(own, lr) * update)


def test_betas_are_those_of_the_settings():
    for name in ("adam", "adamw"):
        optimizer = build_optimizer(nn.Linear(2, 2), Optimizer(optimizer=name, betas=(0.9, 0.95)))
        assert all(group["betas"] == (0.9, 0.95) for group in optimizer.param_groups)


def test_groups_are_by_rate_and_decay_and_start_as_without_any():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    plain = build_optimizer(net, Optimizer()).param_groups
    assert [[p.ndim for p in group["params"]] for group in plain] == [[2, 2], [1, 1]]
    own = build_optimizer(net, Optimizer(), lambda name: Rate(3.0) if name[0] == "1" else Rate())

    assert [group["rate"][0] for group in own.param_groups] == [1, 1, 3, 3]
