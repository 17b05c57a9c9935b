"""One optimiser step: parts of a batch, clipping, fp16's skipped steps, nothing that waits."""

import copy

import pytest
import torch
from small_runs import METHODS, make_run, small_backbone
from torch._subclasses.fake_tensor import FakeTensorMode

from sslpipe.methods.method import Step
from sslpipe.optim.optimizers import build_optimizer
from sslpipe.training import loop
from sslpipe.training.batches import Part
from sslpipe.training.step import OptimizerStep


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    monkeypatch.setattr(loop, "build_backbone", small_backbone)


def views(images, seed=0):
    draw = torch.Generator().manual_seed(seed)
    sides = (16, 16, 8)
    every = [torch.randn(images, 3, side, side, generator=draw) for side in sides]
    return Part(every[:2], every[2:])


def built(name, *, settings=None, autocast=None, **changes):
    run = make_run(name, settings={"optimizer": "sgd", "lr": 0.1} | (settings or {}), **changes)
    method = loop.build_method(run, autocast).train()
    optimizer = build_optimizer(method, run.settings)
    return method, OptimizerStep(method, optimizer, run.pretrain)


def weights(method):
    return [p.detach().clone() for p in method.parameters() if p.requires_grad]


def test_parts_add_up_to_the_batch():
    """MoCo with statistics of groups: two parts of two groups have the statistics of four."""
    options = {"shuffle_bn": False}
    whole, step = built("moco", settings=options | {"bn_groups": 4})
    whole_loss, _ = step([views(16)], Step(0, 9, 0))
    parts, step = built("moco", settings=options | {"bn_groups": 2}, accumulate=2)
    g, l, _ = views(16)  # noqa: E741
    halves = [Part([v[s] for v in g], [v[s] for v in l]) for s in (slice(8), slice(8, 16))]
    parts_loss, _ = step(halves, Step(0, 9, 0))
    torch.testing.assert_close(parts_loss, whole_loss)
    for actual, expected in zip(weights(parts), weights(whole), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(parts.queue, whole.queue)
    for actual, expected in zip(
        parts.key_encoder.parameters(), whole.key_encoder.parameters(), strict=True
    ):
        assert torch.equal(actual, expected)  # the momentum copy moved once, not for each part


@pytest.mark.parametrize("autocast", [None, torch.float16])
def test_clipping_is_torchs(autocast):
    method, step = built("simclr", clip_norm=0.01, autocast=autocast)
    step.scaler = torch.amp.GradScaler("cpu", init_scale=64.0, enabled=autocast is not None)
    other = copy.deepcopy(method)
    before = weights(method)
    step([views(8)], Step(0, 9, 0))
    other.loss(*views(8)[:2], Step(0, 9, 0)).loss.backward()
    trained = [p for p in other.parameters() if p.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(trained, 0.01)
    assert norm > 0.02
    for p, was, now in zip(trained, before, weights(method), strict=True):
        decay = 1e-4 * was if p.ndim > 1 else 0.0
        tolerance = {"rtol": 1e-4, "atol": 1e-6} if autocast is None else {"rtol": 0, "atol": 1e-4}
        torch.testing.assert_close(now, was - 0.1 * (p.grad + decay), **tolerance)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lars"])
def test_an_overflow_in_fp16_changes_no_weight(optimizer):
    method, step = built("simclr", settings={"optimizer": optimizer}, autocast=torch.float16)
    before, scale = weights(method), step.scaler.get_scale()
    global_views, local_views, _ = views(8)
    step([Part([v * 1e5 for v in global_views], local_views)], Step(0, 9, 0))
    assert all(torch.equal(a, b) for a, b in zip(weights(method), before, strict=True))
    assert step.scaler.get_scale() == scale / 2
    for module in method.modules():  # whose statistics the overflow has spoilt
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
    while step.scaler.get_scale() > 64:
        step([views(8)], Step(0, 9, 0))
        if not all(torch.equal(a, b) for a, b in zip(weights(method), before, strict=True)):
            break
    assert all(p.isfinite().all() for p in weights(method))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lars"])
@pytest.mark.parametrize("name", METHODS)
def test_no_step_waits_for_the_device(name, optimizer):
    """Tensors without content: whatever the host would read of them raises an error here."""
    method, _ = built(name)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        for module in method.modules():
            for own in (module._parameters, module._buffers):
                for key, tensor in own.items():
                    if tensor is None:
                        continue
                    fake = mode.from_tensor(tensor.detach())
                    if own is module._parameters:
                        fake = torch.nn.Parameter(fake, requires_grad=tensor.requires_grad)
                    own[key] = fake
    run = make_run(name, settings={"optimizer": optimizer}, clip_norm=1.0, accumulate=2)
    with mode:
        step = OptimizerStep(method, build_optimizer(method, run.settings), run.pretrain)
        for number in range(2):
            sides = (16, 16, 8)
            parts = [[torch.empty(4, 3, side, side) for side in sides] for _ in range(2)]
            loss, _ = step([Part(p[:2], p[2:]) for p in parts], Step(number, 9, 0))
        with pytest.raises(RuntimeError):
            loss.item()
