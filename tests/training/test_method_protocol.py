"""What a method may ask of the training loop, each by a toy method that asks for it."""

import math
import sys
import types
from itertools import pairwise

import pytest
import small_runs
import torch
from small_runs import CPU, images, make_run, small_backbone
from torch import nn
from torch.nn import functional as F

from sslpipe.errors import UserError
from sslpipe.methods.method import Labels, Method, Output
from sslpipe.networks.momentum import ema_update, momentum_copy
from sslpipe.optim.optimizers import Rate
from sslpipe.running.checkpoint import RunState
from sslpipe.schema.methods.base import Optimizer
from sslpipe.training import loop
from sslpipe.training.step import OptimizerStep


class Toy(Method):
    """Pulls two views of an image together, before a predictor."""

    def __init__(self, encoder, settings, autocast=None):
        super().__init__(encoder, autocast)
        self.predictor = nn.Linear(encoder.width, encoder.width)
        self.seen = []

    def loss(self, global_views, local_views, step):
        self.seen.append([view.clone() for view in global_views])
        z = [F.normalize(self.predictor(self.encoder(view)), dim=1) for view in global_views]
        return Output(2 - 2 * (z[0] * z[-1].detach()).sum(1).mean(), z[0].detach())


@pytest.fixture
def toy(monkeypatch):
    """A function that makes a subclass of Toy the method `toy` of a run, and returns what was trained."""
    monkeypatch.setattr(loop, "build_backbone", small_backbone)
    monkeypatch.setitem(small_runs.SETTINGS, "toy", Optimizer(optimizer="sgd", lr=0.1))

    def run_with(kind, folder=None, *, settings=None, labels=None, classes=(), **changes):
        module = types.ModuleType("sslpipe.methods.toy")
        module.Toy, kind.__module__ = kind, module.__name__
        monkeypatch.setitem(sys.modules, module.__name__, module)
        run = make_run("toy", settings=settings, **changes)
        made = []
        before = loop.build_method
        monkeypatch.setattr(
            loop, "build_method", lambda *given: made.append(before(*given)) or made[-1]
        )
        if folder is None:
            return run, loop.build_method(run, None, classes)
        with RunState(folder / "toy", "f", lead=True) as saved:
            watched = small_runs.watched()
            trained = loop.train(
                run,
                images(),
                watched,
                saved,
                device=CPU,
                autocast=None,
                labels=labels,
                classes=classes,
            )
        monkeypatch.setattr(loop, "build_method", before)
        return made[-1], trained

    return run_with


def test_a_gradient_taken_away_leaves_the_weight_as_it_was_with_momentum_and_decay(toy, tmp_path):
    class Frozen(Toy):
        """Its predictor rests in the second epoch."""

        weights = []  # noqa: RUF012

        def after_backward(self, step):
            assert all(p.grad is not None for p in self.parameters())
            self.weights.append(self.predictor.weight.detach().clone())
            if step.index >= step.total // 2:
                for parameter in self.predictor.parameters():
                    parameter.grad = None

    method, _ = toy(Frozen, tmp_path, settings={"weight_decay": 0.1})
    first, second = method.weights[:5], method.weights[5:]
    assert not any(torch.equal(a, b) for a, b in pairwise(first))
    assert all(torch.equal(second[0], weight) for weight in second)
    assert torch.equal(second[0], method.predictor.weight)


def test_gradients_are_unscaled_and_clipped_when_a_method_sees_them(toy):
    class Looks(Toy):
        def after_backward(self, step):
            self.length = torch.stack([p.grad.norm() for p in self.parameters()]).norm()

    run, method = toy(Looks, clip_norm=0.01)
    method.autocast = torch.float16
    optimizer = loop.build_optimizer(method, run.settings, method.rate, method.NO_DECAY)
    step = OptimizerStep(method, optimizer, run.pretrain)
    method.autocast = None  # fp16 is slow here; the scaler is what matters
    views = loop.Part([torch.randn(4, 3, 16, 16) for _ in range(2)], [])
    step([views], loop.Step(0, 9, 0))
    assert step.scaler.get_scale() > 1
    assert method.length == pytest.approx(0.01, rel=1e-3)


def test_a_rate_of_its_own_and_no_decay_by_name(toy, tmp_path):
    class Named(Toy):
        def __init__(self, *given):
            super().__init__(*given)
            self.pos_embed = nn.Parameter(torch.ones(2, 3, 4))
            self.rates = []

        def rate(self, name):
            return Rate(10.0, constant=True) if name.startswith("predictor") else Rate()

        def after_backward(self, step):
            self.pos_embed.grad = torch.zeros_like(self.pos_embed)
            self.rates.append(step.index)

    run, method = toy(Named)
    optimizer = loop.build_optimizer(method, run.settings, method.rate, method.NO_DECAY)
    loop.set_step(optimizer, 0.05, 0.1, 0.3)
    of = {
        id(p): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    named = {name: of[id(p)] for name, p in method.named_parameters()}
    assert named["predictor.weight"] == (1.0, 0.3)
    assert named["predictor.bias"] == (1.0, 0.0)
    assert named["encoder.0.weight"] == (0.05, 0.3)
    assert named["pos_embed"] == (0.05, 0.0)
    trained, _ = toy(Named, tmp_path, settings={"weight_decay": 0.1})
    assert torch.equal(trained.pos_embed, torch.ones(2, 3, 4))
    assert len(trained.rates) == 10


def test_weight_decay_follows_half_a_cosine(toy, tmp_path, monkeypatch):
    decays, before = [], loop.set_step
    monkeypatch.setattr(loop, "set_step", lambda *given: decays.append(given[-1]) or before(*given))
    toy(Toy, tmp_path, settings={"weight_decay": 0.04, "weight_decay_end": 0.4})
    expected = [0.4 - 0.36 * (1 + math.cos(math.pi * i / 9)) / 2 for i in range(10)]
    assert decays == pytest.approx(expected)


def test_the_copy_that_a_method_names_is_scored_and_saved(toy, tmp_path, monkeypatch):
    class Teacher(Toy):
        def __init__(self, *given):
            super().__init__(*given)
            self.teacher = momentum_copy(self.encoder)

        @property
        def exported(self):
            return self.teacher

        def after_step(self, step):
            ema_update(self.teacher, self.encoder, 0.5)

    scored, before = [], loop.online_scores
    monkeypatch.setattr(
        loop, "online_scores", lambda encoder, *given, **more: scored.append(encoder)
        or before(encoder, *given, **more),
    )  # fmt: skip
    method, trained = toy(Teacher, tmp_path)
    assert trained.encoder is method.teacher
    assert all(encoder is method.teacher for encoder in scored) and scored


def test_one_view_without_colour(toy, tmp_path):
    class OneView(Toy):
        GLOBAL_VIEWS = 1
        COLOUR = False

    pure = make_run("moco").pretrain.views.model_copy(
        update={"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0, "local": 0}
    )
    method, _ = toy(OneView, tmp_path, views=pure)
    assert all(len(views) == 1 for views in method.seen)
    # the whole image, as it is
    seen = torch.cat([views[0] for views in method.seen])
    batch = loop.as_input(loop.Part([images().permute(0, 3, 1, 2) / 255], []), CPU).global_views[0]
    nearest = torch.cdist(seen.flatten(1), batch.flatten(1)).min(1).values
    assert len(nearest) == 80 and nearest.max() < 0.1  # of 768 numbers


def test_labels_come_to_a_method_that_asks_for_them_alone(toy, tmp_path):
    class Labelled(Toy):
        LABELLED = True

        def __init__(self, *given, classes):
            super().__init__(*given)
            self.heads = nn.ModuleList(nn.Linear(self.encoder.width, count) for count in classes)
            self.labels, self.brightness = [], []

        def loss(self, global_views, local_views, step, labels):
            self.labels.append(labels)
            self.brightness.append(global_views[0].mean((1, 2, 3)))
            output = super().loss(global_views, local_views, step)
            features = self.encoder(global_views[0])
            losses = [
                F.cross_entropy(
                    head(features),
                    labels.of_class.where(labels.of_set == number, -1),
                    ignore_index=-1,
                    reduction="sum",
                )
                for number, head in enumerate(self.heads)
            ]
            return Output(torch.stack(losses).sum(), output.embedding)

    of_class = torch.arange(40) % 3
    of_class[7] = -1
    of_set = (torch.arange(40) >= 25).long()
    pure = make_run("moco").pretrain.views.model_copy(
        update={"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0, "local": 0, "jitter": 0.0,
                "grayscale": 0.0, "blur": 0.0}
    )  # fmt: skip
    method, _ = toy(
        Labelled,
        tmp_path,
        labels=Labels(of_class, of_set),
        classes=(3, 3),
        views=pure,
        accumulate=2,
    )
    # each image comes with its own, which its brightness tells
    x = loop.as_input(loop.Part([images().permute(0, 3, 1, 2) / 255], []), CPU).global_views[0]
    known = x.mean((1, 2, 3))
    for labels, brightness in zip(method.labels, method.brightness, strict=True):
        rows = (brightness[:, None] - known).abs().argmin(1)
        assert torch.equal(labels.of_class, of_class[rows])
        assert torch.equal(labels.of_set, of_set[rows])


def test_a_method_says_whether_fallen_embeddings_stop_it(toy, tmp_path):
    class Fallen(Toy):
        def loss(self, global_views, local_views, step):
            output = super().loss(global_views, local_views, step)
            return Output(output.loss, torch.ones_like(output.embedding))

    class Unwatched(Fallen):
        WATCHED = False

    with pytest.raises(UserError, match="collapsed"):
        toy(Fallen, tmp_path, epochs=4)
    _, trained = toy(Unwatched, tmp_path / "unwatched", epochs=4)
    assert trained.state.step == 20
