import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from sslpipe.evaluation.probe import cosine, fit_probes, standardise

CELLS = [(0.03, 0.0), (0.003, 0.05), (0.1, 0.3)]
REFERENCE = {
    "adam": lambda groups, lr: torch.optim.Adam(groups, lr=lr),
    "adamw": lambda groups, lr: torch.optim.AdamW(groups, lr=lr),
    "sgd": lambda groups, lr: torch.optim.SGD(groups, lr=lr, momentum=0.9),
}


def gaussians(images, classes=5, dimension=16, distance=0.6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (images,), generator=generator)
    means = torch.randn(classes, dimension, generator=torch.Generator().manual_seed(9)) * distance
    return means[labels] + torch.randn(images, dimension, generator=generator), labels


def one_head(x, y, classes, lr, weight_decay, epochs, batch_size, optimizer, seed):
    """The textbook loop: nn.Linear, autograd, torch.optim, LambdaLR."""
    head = nn.Linear(x.shape[1], classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    groups = [
        {"params": [head.weight], "weight_decay": weight_decay},
        {"params": [head.bias], "weight_decay": 0.0},
    ]
    update = REFERENCE[optimizer](groups, lr)
    batches = -(-len(x) // batch_size)
    steps = epochs * batches
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(update, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).tensor_split(batches):
            update.zero_grad()
            nn.functional.cross_entropy(head(x[rows]), y[rows]).backward()
            update.step()
            schedule.step()
    return head


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_every_head_is_the_head_trained_alone(optimizer):
    x, y = gaussians(203)
    settings = {"epochs": 4, "batch_size": 50, "optimizer": optimizer, "seed": 3}
    probes = fit_probes(x, y, 5, CELLS, **settings)
    assert probes.weight.shape == (3, 5, 16) and probes.bias.shape == (3, 5)
    for cell, (lr, weight_decay) in enumerate(CELLS):
        head = one_head(x, y, 5, lr, weight_decay, **settings)
        assert torch.allclose(probes.weight[cell], head.weight, rtol=1e-4, atol=2e-5)
        assert torch.allclose(probes.bias[cell], head.bias, rtol=1e-4, atol=2e-5)
        assert torch.allclose(probes.logits(x)[cell], head(x), rtol=1e-4, atol=2e-4)
    assert (probes.weight[0] - probes.weight[1]).abs().max() > 0.01


def test_the_optimisers_differ_in_weight_decay():
    x, y = gaussians(100)
    fits = {
        name: fit_probes(
            x, y, 5, [(0.01, 0.1)], epochs=5, batch_size=20, optimizer=name, seed=0
        ).weight
        for name in REFERENCE
    }
    assert not torch.allclose(fits["adam"], fits["adamw"], atol=1e-3)
    assert not torch.allclose(fits["adam"], fits["sgd"], atol=1e-3)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_biases_are_not_decayed(optimizer):
    # Features without information: the weights stay zero, the bias learns the class frequencies.
    y = torch.tensor([0] * 75 + [1] * 25)
    decay = 0.9 if optimizer == "adamw" else 10.0
    probes = fit_probes(
        torch.zeros(100, 3), y, 2, [(0.1, decay)], epochs=60, batch_size=100,
        optimizer=optimizer, seed=0,
    )  # fmt: skip
    assert torch.allclose(probes.bias[0].softmax(0), torch.tensor([0.75, 0.25]), atol=0.02)


def test_a_probe_is_nearly_as_good_as_logistic_regression():
    (x, y), (queries, truth) = gaussians(1500), gaussians(1500, seed=1)
    mean, deviation = standardise(x)
    x, queries = (x - mean) / deviation, (queries - mean) / deviation
    probes = fit_probes(x, y, 5, [(1e-2, 0.0)], epochs=30, batch_size=64, optimizer="adam", seed=0)
    accuracy = (probes.logits(queries)[0].argmax(1) == truth).double().mean().item()
    reference = LogisticRegression(max_iter=500).fit(x.numpy(), y.numpy())
    expected = reference.score(queries.numpy(), truth.numpy())
    assert accuracy > expected - 0.015
    assert accuracy > 0.2 + 0.3


def test_the_seed_decides_everything():
    x, y = gaussians(120)

    def fit(seed):
        return fit_probes(x, y, 5, CELLS, epochs=2, batch_size=16, optimizer="adam", seed=seed)

    first = fit(0)
    torch.manual_seed(99)  # the global generator plays no part
    again = fit(0)
    assert torch.equal(first.weight, again.weight) and torch.equal(first.bias, again.bias)
    assert not torch.equal(first.weight, fit(1).weight)


def test_logits_by_chunks_and_by_cell():
    x, y = gaussians(50)
    probes = fit_probes(x, y, 5, CELLS, epochs=1, batch_size=16, optimizer="sgd", seed=0)
    whole = probes.logits(x)
    assert whole.shape == (3, 50, 5)
    assert torch.allclose(probes.logits(x, chunk=7), whole, atol=1e-6)
    assert torch.allclose(probes[1].logits(x)[0], whole[1], atol=1e-6)


def test_standardise_uses_the_training_split_and_spares_dead_dimensions():
    x = torch.randn(400, 4, generator=torch.Generator().manual_seed(0)) * 3 + 2
    x[:, 2] = 0.1
    x[::2, 2] += 1e-8  # one unit in the last place
    x[:, 3] = 0.0
    mean, deviation = standardise(x)
    assert torch.allclose(mean, x.mean(0), atol=1e-5)
    assert torch.allclose(deviation[:2], x[:, :2].std(0, correction=0))
    assert ((x - mean) / deviation).isfinite().all()
    assert ((x - mean) / deviation)[:, 2:].abs().max() < 0.5
    assert (standardise(torch.zeros(5, 2))[1] > 0).all()
    with pytest.raises(ValueError, match="no training features"):
        standardise(torch.zeros(0, 2))


def test_cosine_at_known_steps():
    assert cosine(0.4, 0, 10) == 0.4
    assert cosine(0.4, 5, 10) == pytest.approx(0.2)
    assert cosine(0.4, 10, 10) == pytest.approx(0)


@pytest.mark.parametrize(
    ("message", "changed"),
    [
        ("unknown probe optimizer 'lion', known: adam, adamw, sgd", {"optimizer": "lion"}),
        ("at least one grid cell", {"cells": []}),
        ("one epoch", {"epochs": 0}),
        ("6 features and 5 labels", {"labels": torch.zeros(5, dtype=torch.long)}),
    ],
)
def test_refusals(message, changed):
    arguments = {
        "features": torch.zeros(6, 2), "labels": torch.zeros(6, dtype=torch.long), "classes": 2,
        "cells": [(0.1, 0.0)], "epochs": 1, "batch_size": 2, "optimizer": "adam", "seed": 0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        fit_probes(**(arguments | changed))
