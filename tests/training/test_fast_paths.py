"""The golden short training: with each fast path on, the loss of every step stays the same.

Plain is float32, eager, views by torchvision's functions image by image, whole batches.
"""

from functools import partial

import pytest
import torch
from small_runs import METHODS, images, make_run, small_backbone, train
from torch.nn import functional as F

from sslpipe.schema.training import Views
from sslpipe.training import loop
from sslpipe.training.batches import Plan, build_views
from sslpipe.views.normalize import normalize

PLAIN = {
    "precision": "fp32",
    "compile": "never",
    "views": Views(backend="torchvision", local=1, local_size=8),
}
SGD = {"optimizer": "sgd", "lr": 0.05, "lr_scaling": "none"}
# The plain losses of ten steps, as they came out when this file was written.
GOLDEN = {
    "simclr": [3.4246, 3.0249, 2.8194, 2.8825, 2.7180, 2.5710, 2.7633, 2.7397, 2.7709, 2.7357],
    "moco": [0.9528, 2.2788, 2.8925, 3.2875, 3.4552, 3.4969, 3.4353, 3.5892, 3.5846, 3.4859],
    "byol": [4.1495, 3.3382, 2.1984, 1.6326, 1.2708, 1.1341, 1.1429, 1.0974, 1.0997, 1.1682],
}  # fmt: skip
# What is switched on, and how far a loss may move, relative to it: rounding of the first steps' gradients
# is carried on by the optimiser. bf16 has 8 bits, fp16 11.
FAST = {
    "batched views": ({"views": Views(local=1, local_size=8)}, 1e-3),
    "views in worker processes": ({"views": PLAIN["views"].model_copy(update={"workers": 2})}, 0.0),
    "bf16": ({"precision": "bf16"}, 8e-2),
    "fp16": ({"precision": "fp16"}, 2e-2),
    "compiled": ({"compile": "always"}, 1e-3),
    "deterministic kernels": ({"deterministic": True}, 0.0),
}


def losses_of(run, folder):
    """The loss of each step."""
    losses = []
    # Else what does not fit the compiler's limit would silently run without it.
    strictly = torch._dynamo.config.patch(fail_on_recompile_limit_hit=True)
    with strictly, pytest.MonkeyPatch.context() as patch:

        class Noting(loop.OptimizerStep):
            def __call__(self, parts, step):
                loss, embedding = super().__call__(parts, step)
                losses.append(loss.item())
                return loss, embedding

        patch.setattr(loop, "OptimizerStep", Noting)
        # Small enough that no step overflows: a skipped step is another curve.
        patch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=64.0))
        patch.setattr(loop, "build_backbone", small_backbone)
        dtypes = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
        train(run, folder, autocast=dtypes[run.pretrain.precision])
    return losses


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return {m: losses_of(make_run(m, settings=SGD, **PLAIN), folder / m) for m in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_plain_is_golden(method, plain):
    assert plain[method] == pytest.approx(GOLDEN[method], rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", FAST)
def test_fast_is_plain(path, method, plain, tmp_path):
    changes, tolerance = FAST[path]
    fast = losses_of(make_run(method, settings=SGD, **(PLAIN | changes)), tmp_path)
    assert fast == pytest.approx(plain[method], rel=tolerance, abs=0)


def test_plain_is_what_torch_alone_gives(plain):
    """SimCLR once more, from the paper: no code of the loop, the optimiser or the loss is shared."""
    run = make_run("simclr", settings=SGD, **PLAIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "build_backbone", small_backbone)
        method = loop.build_method(run, None).train()
    network = torch.nn.Sequential(method.encoder, method.projector)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": run.settings.weight_decay}, {"params": others}],
        lr=0.05,
        momentum=0.9,
        fused=False,
    )
    views = build_views(run.pretrain.views, 16)
    plan, data = Plan(40, 8, run.pretrain.seed), images()
    losses = []
    for step in range(10):
        epoch, number = divmod(step, 5)
        rows = plan.indices(epoch)[number]
        (first, second), (local,) = views(data[rows], seed=0, epoch=epoch, indices=rows)
        globals_ = network(normalize(torch.cat([first, second])))
        z = torch.cat([globals_, network(normalize(local))])
        similarity = F.cosine_similarity(z[:, None], z[None], dim=2) / run.settings.temperature
        terms = []
        for anchor in range(24):
            image = anchor % 8
            negatives = [n for n in range(16) if n % 8 != image]
            for positive in (image, image + 8):
                if positive != anchor:
                    logits = similarity[anchor, [positive, *negatives]]
                    terms.append(-F.log_softmax(logits, dim=0)[0])
        loss = torch.stack(terms).mean()
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * 0.5 * (1 + torch.tensor(torch.pi * step / 10).cos().item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # What differs in the last bit, by the order of sums on this CPU, grows with every step.
    assert losses[:3] == pytest.approx(plain["simclr"][:3], rel=1e-5)
    assert losses == pytest.approx(plain["simclr"], rel=1e-3)
