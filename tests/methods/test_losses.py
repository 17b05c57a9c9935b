import math

import pytest
import torch
from torch.nn import functional as F

from sslpipe.methods.losses import cosine_regression, info_nce, nt_xent


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def nt_xent_by_loops(views, temperature):
    """Equation 1 of SimCLR, one pair at a time; negatives are other images' global views."""
    number, images, _ = views.shape
    global_views = 2
    losses = []
    for a in range(number):
        for i in range(images):
            anchor = views[a, i]
            negatives = sum(
                math.exp(float(anchor @ views[u, j]) / temperature)
                for u in range(global_views)
                for j in range(images)
                if j != i
            )
            for u in range(global_views):
                if u != a:
                    positive = math.exp(float(anchor @ views[u, i]) / temperature)
                    losses.append(-math.log(positive / (positive + negatives)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("local_views", [0, 1, 3])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_nt_xent_equals_double_loop(local_views, temperature):
    views = unit(2 + local_views, 6, 8).double()
    expected = nt_xent_by_loops(views, temperature)
    assert nt_xent(views, temperature).item() == pytest.approx(expected, rel=1e-9)


def test_nt_xent_equals_masked_cross_entropy():
    """The usual form: a (2N, 2N) matrix with −inf on the diagonal, target (i + N) mod 2N."""
    views = unit(2, 16, 32)
    z = views.flatten(0, 1)
    logits = (z @ z.T / 0.2).fill_diagonal_(-math.inf)
    target = (torch.arange(32) + 16) % 32
    torch.testing.assert_close(nt_xent(views, 0.2), F.cross_entropy(logits, target))


def test_nt_xent_of_random_vectors_is_log_of_the_choices():
    images = 128
    loss = nt_xent(unit(2, images, 4096), temperature=1.0).item()
    assert loss == pytest.approx(math.log(2 * images - 1), abs=0.02)


def test_nt_xent_does_not_depend_on_the_order_of_images():
    views, order = unit(4, 10, 16), torch.randperm(10)
    torch.testing.assert_close(nt_xent(views[:, order], 0.2), nt_xent(views, 0.2))


def test_nt_xent_ignores_other_images_local_views():
    """Local crops are anchors only; a negative is a global view of another image."""
    views = unit(3, 4, 8)
    moved = views.clone()
    moved[2, 1] = unit(8, seed=7)
    pairs = nt_xent(views, 0.2) * 4 * 4 - nt_xent(moved, 0.2) * 4 * 4
    alone = []
    for v in (views, moved):
        with_local, without = nt_xent_by_loops(v, 0.2) * 16, nt_xent_by_loops(v[:2], 0.2) * 8
        alone.append(with_local - without)
    assert pairs.item() == pytest.approx(alone[0] - alone[1], abs=1e-4)


@pytest.mark.parametrize("local_views", [1, 6])
def test_scale_of_every_loss_is_independent_of_local_views(local_views):
    z = unit(2, 256, 64)
    more = torch.cat([z, unit(local_views, 256, 64, seed=3)])
    assert nt_xent(more, 0.2).item() == pytest.approx(nt_xent(z, 0.2).item(), rel=0.02)
    keys, queue = unit(256, 64, seed=4), unit(512, 64, seed=5)
    few, many = (info_nce(v, keys, queue, 0.2).item() for v in (z[:1], more))
    assert many == pytest.approx(few, rel=0.02)
    assert cosine_regression(more, keys.expand_as(more)).item() == pytest.approx(2, abs=0.1)


def test_info_nce_equals_cross_entropy_by_loops():
    queries, keys, queue = unit(2, 5, 8), unit(5, 8, seed=1), unit(7, 8, seed=2)
    losses = []
    for v in range(2):
        for i in range(5):
            positive = math.exp(float(queries[v, i] @ keys[i]) / 0.1)
            others = sum(math.exp(float(queries[v, i] @ n) / 0.1) for n in queue)
            losses.append(-math.log(positive / (positive + others)))
    expected = sum(losses) / len(losses)
    assert info_nce(queries, keys, queue, 0.1).item() == pytest.approx(expected, rel=1e-5)


def test_info_nce_of_perfect_alignment_is_the_analytic_floor():
    """q = k and a queue orthogonal to both: log(1 + K·e^(−1/τ))."""
    keys = torch.eye(64)[:8]
    queue = torch.eye(64)[8:40]
    expected = math.log(1 + 32 * math.exp(-1 / 0.2))
    assert info_nce(keys[None], keys, queue, 0.2).item() == pytest.approx(expected, rel=1e-4)


def test_cosine_regression_known_values_and_stop_gradient():
    a = unit(4, 8).requires_grad_()
    b = unit(4, 8, seed=1).requires_grad_()
    assert cosine_regression(a, a.detach()).item() == pytest.approx(0, abs=1e-6)
    assert cosine_regression(a, -a.detach()).item() == pytest.approx(4, abs=1e-5)
    cosine_regression(a, b).backward()
    assert a.grad is not None
    assert b.grad is None
