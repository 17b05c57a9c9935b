import pytest
import torch
from torch import nn

from sslpipe import schema
from sslpipe.training.optimizers import build_optimizer, set_lr


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    frozen = nn.Linear(2, 2).requires_grad_(False)
    return nn.Sequential(net, frozen)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_only_weights_of_layers_decay(name):
    """With a zero gradient, a step moves exactly what is decayed."""
    net = network()
    before = {n: p.clone() for n, p in net.named_parameters()}
    settings = schema.Optimizer(optimizer=name, lr=0.1, weight_decay=0.5)
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
        settings = schema.Optimizer(optimizer=name, lr=1.0, weight_decay=0.1)
        pair = (build_optimizer(ours, settings), ours), (reference(theirs.parameters()), theirs)
        for k in range(5):
            x = torch.randn(4, 5, generator=torch.Generator().manual_seed(k))
            for optimizer, net in pair:
                set_lr(optimizer, 0.01)
                optimizer.zero_grad()
                net(x).pow(2).sum().backward()
                optimizer.step()
        torch.testing.assert_close(ours.weight, theirs.weight)
