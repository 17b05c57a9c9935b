import math

import pytest
import torch
from torch.nn import functional as F

from sslpipe.evaluation.rank import effective_rank
from sslpipe.training.monitor import collapsed, feature_std


def test_healthy_embeddings():
    z = F.normalize(torch.randn(2000, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    assert feature_std(z) == pytest.approx(1 / math.sqrt(64), rel=0.02)
    assert effective_rank(z) > 60


def test_collapsed_embeddings():
    point = F.normalize(torch.randn(1, 64), dim=1).expand(100, 64)
    assert feature_std(point) == pytest.approx(0, abs=1e-6)
    assert effective_rank(point) == pytest.approx(1, abs=0.05)


def test_rank_of_a_known_spectrum():
    z = torch.zeros(100, 8)
    z[:, :4] = torch.eye(4).repeat(25, 1)  # four equal singular values
    assert effective_rank(z) == pytest.approx(4, abs=0.01)


def test_collapse_needs_several_epochs():
    low, fine = 1e-4, 0.1
    assert not collapsed([low, low], 64)
    assert not collapsed([low, low, fine], 64)
    assert collapsed([fine, low, low, low], 64)
