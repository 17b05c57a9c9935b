import math

import numpy as np
import pytest

from sslpipe.optim.schedules import peak_lr, warmup_cosine


def test_known_steps():
    lrs = warmup_cosine(0.4, steps=110, warmup=10)
    assert len(lrs) == 110
    np.testing.assert_allclose(lrs[:10], 0.4 * np.arange(1, 11) / 10)
    assert lrs[10] == pytest.approx(0.4)
    assert lrs[60] == pytest.approx(0.2)
    assert lrs[109] == pytest.approx(0.4 * 0.5 * (1 + math.cos(math.pi * 99 / 100)))


def test_agrees_with_torchs_cosine_annealing():
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    theirs = []
    for _ in range(50):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(warmup_cosine(0.3, 50, 0), theirs, atol=1e-12)


def test_all_warmup():
    np.testing.assert_allclose(warmup_cosine(1.0, 4, 4), [0.25, 0.5, 0.75, 1.0])


def test_scaling_rules():
    assert peak_lr(0.1, "none", 1024) == 0.1
    assert peak_lr(0.1, "linear", 1024) == pytest.approx(0.4)
    assert peak_lr(0.1, "sqrt", 1024) == pytest.approx(0.2)
