import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sslpipe.methods import method_class
from sslpipe.methods.byol import BYOL
from sslpipe.methods.method import Step
from sslpipe.methods.moco import MoCo
from sslpipe.methods.simclr import SimCLR
from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.momentum import momentum_at
from sslpipe.schema.methods.base import Projector
from sslpipe.schema.methods.byol import BYOL as BYOLSettings
from sslpipe.schema.methods.moco import MoCo as MoCoSettings
from sslpipe.schema.methods.simclr import SimCLR as SimCLRSettings

HEAD = Projector(hidden=32, output=16)
SETTINGS = {
    "simclr": SimCLRSettings(projector=HEAD),
    "moco": MoCoSettings(projector=HEAD, queue=24, bn_groups=4, ema=0.9),
    "byol": BYOLSettings(projector=HEAD, predictor_hidden=32),
}
STEP = Step(0, 10, 0)

METHODS = ("simclr", "moco", "byol")


def build(name, **changes):
    torch.manual_seed(0)
    settings = SETTINGS[name].model_copy(update=changes)
    groups = getattr(settings, "bn_groups", 1)
    return method_class(name)(build_backbone("resnet18", bn_groups=groups), settings).train()


def views(number, images=8, size=32, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(images, 3, size, size, generator=draw) for _ in range(number)]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("local_views", [0, 2])
def test_loss_trains_every_parameter_that_asks_for_it(name, local_views):
    method = build(name)
    output = method.loss(views(2), views(local_views, size=16), STEP)
    assert output.loss.dtype == torch.float32
    assert output.embedding.shape == (8, 16)
    torch.testing.assert_close(output.embedding.norm(dim=1), torch.ones(8))
    output.loss.backward()
    method.after_step(STEP)
    for parameter_name, parameter in method.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, parameter_name
        else:
            assert parameter.grad is None, parameter_name


@pytest.mark.parametrize("name", METHODS)
def test_a_few_steps_lower_the_loss_on_one_batch(name):
    method = build(name, queue=8) if name == "moco" else build(name)
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=1e-3)
    batch, losses = views(2), []
    for k in range(12):
        output = method.loss(batch, [], Step(k, 12, 0))
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        if name == "byol":  # MoCo's own keys would come back as negatives of this one batch
            method.after_step(Step(k, 12, 0))
        losses.append(output.loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_heads_are_the_papers():
    simclr, moco, byol = (build(name) for name in METHODS)
    assert [type(layer) for layer in simclr.projector] == [
        nn.Linear,
        nn.BatchNorm1d,
        nn.ReLU,
        nn.Linear,
    ]
    assert simclr.projector[-1].bias is None
    assert [type(layer) for layer in moco.projector] == [nn.Linear, nn.ReLU, nn.Linear]
    assert moco.projector[-1].bias is not None
    assert [type(layer) for layer in byol.predictor] == [
        nn.Linear,
        nn.BatchNorm1d,
        nn.ReLU,
        nn.Linear,
    ]
    assert BYOLSettings().projector == Projector(hidden=4096, output=256)


def test_simclr_uses_one_joint_forward_pass():
    method: SimCLR = build("simclr")
    batches = []
    method.encoder.register_forward_hook(lambda _, inputs, __: batches.append(len(inputs[0])))
    method.loss(views(2), views(2, size=16), STEP)
    assert batches == [16, 16]  # both globals, then both locals: one pass per resolution


def test_moco_keys_equal_queries_at_the_start():
    method: MoCo = build("moco")
    for own, key in (
        (method.encoder, method.key_encoder),
        (method.projector, method.key_projector),
    ):
        for a, b in zip(own.parameters(), key.parameters(), strict=True):
            assert torch.equal(a, b)
            assert not b.requires_grad


def test_moco_never_meets_a_current_key_among_its_negatives():
    method: MoCo = build("moco")
    before = method.queue.clone()
    method.loss(views(2), [], STEP)
    assert torch.equal(method.queue, before)  # still the old keys while the loss is computed
    keys = torch.cat(method.new_keys)
    method.after_step(STEP)
    assert torch.equal(method.queue[:8], keys)
    assert torch.equal(method.queue[8:], before[8:])
    torch.testing.assert_close(method.queue.norm(dim=1), torch.ones(24))


def test_moco_queue_wraps():
    method: MoCo = build("moco", queue=20)
    written = []
    for k in range(4):
        method.loss(views(2, seed=k), [], Step(k, 10, 0))
        written += method.new_keys
        method.after_step(Step(k, 10, 0))
    keys = torch.cat(written)  # 32 keys through a ring of 20: the last 20 are left
    for number in range(12, 32):
        assert torch.equal(method.queue[number % 20], keys[number])


def test_moco_updates_the_key_encoder_before_the_keys():
    method: MoCo = build("moco", bn_groups=1)
    with torch.no_grad():
        for p in method.projector.parameters():
            p += 1.0
    before = [p.clone() for p in method.key_projector.parameters()]
    method.loss(views(2), [], STEP)
    for old, new, online in zip(
        before, method.key_projector.parameters(), method.projector.parameters(), strict=True
    ):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * online)
    again = build("moco", bn_groups=1)
    again.key_encoder.load_state_dict(method.key_encoder.state_dict())
    again.key_projector.load_state_dict(method.key_projector.state_dict())
    torch.testing.assert_close(again.keys(views(2)[1], STEP, 0), *method.new_keys)


def test_moco_shuffle_changes_keys_only_with_groups():
    view = views(1)[0]
    for groups, changes in ((1, False), (4, True)):
        plain = build("moco", bn_groups=groups, shuffle_bn=False).keys(view, STEP, 0)
        shuffled = build("moco", bn_groups=groups, shuffle_bn=True).keys(view, STEP, 0)
        assert (plain - shuffled).abs().max().item() > 1e-3 if changes else True
        if not changes:
            torch.testing.assert_close(plain, shuffled)


def test_moco_unshuffles_its_keys():
    """In evaluation mode a key follows from its image alone, so order shows at once."""
    method: MoCo = build("moco").eval()
    view = views(1)[0]
    with torch.no_grad():
        expected = F.normalize(method.key_projector(method.key_encoder(view)), dim=1)
    torch.testing.assert_close(method.keys(view, STEP, 0), expected, atol=1e-4, rtol=1e-4)


def test_moco_symmetric_averages_both_directions_and_enqueues_once():
    both = views(2)
    symmetric: MoCo = build("moco", symmetric=True, shuffle_bn=False)
    loss = symmetric.loss(both, [], STEP).loss
    before = symmetric.queue.clone()
    symmetric.after_step(STEP)
    assert (symmetric.queue != before).any(dim=1).sum() == 16
    one, other = (
        build("moco", shuffle_bn=False).loss(pair, [], STEP).loss for pair in (both, both[::-1])
    )
    torch.testing.assert_close(loss, (one + other) / 2, atol=1e-3, rtol=1e-3)


def test_byol_target_gets_no_gradient_and_moves_after_the_step():
    method: BYOL = build("byol")
    step = Step(3, 10, 0)
    method.loss(views(2), [], step).loss.backward()
    assert all(p.grad is None for p in method.target_encoder.parameters())
    with torch.no_grad():
        for p in method.projector.parameters():
            p += 1.0
    before = [p.clone() for p in method.target_projector.parameters()]
    method.after_step(step)
    m = momentum_at(3, 10, 0.99, "cosine")
    for old, new, online in zip(
        before, method.target_projector.parameters(), method.projector.parameters(), strict=True
    ):
        torch.testing.assert_close(new, m * old + (1 - m) * online)


def test_byol_loss_sums_both_directions():
    """Random predictions against random targets: 2 − 2·cos ≈ 2 in each direction, 4 in all."""
    method: BYOL = build("byol")
    loss = method.loss(views(2), [], STEP).loss.item()
    assert loss == pytest.approx(4, abs=0.8)


@pytest.mark.parametrize("name", METHODS)
def test_local_crops_change_no_methods_loss_scale(name):
    """At the start every view is as good as any other, so a mean over more pairs stays put."""
    few, many = (build(name).loss(views(2), views(n, seed=5), STEP).loss.item() for n in (0, 6))
    assert many == pytest.approx(few, rel=0.25)


def test_losses_stay_fp32_under_bf16_autocast():
    for name in METHODS:
        method = build(name)
        method.autocast = torch.bfloat16
        output = method.loss(views(2), [], STEP)
        assert output.loss.dtype == output.embedding.dtype == torch.float32
        assert math.isfinite(output.loss.item())
