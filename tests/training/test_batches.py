import pytest
import torch

from sslpipe.schema.training import Views
from sslpipe.training.batches import Plan, build_views, views_of_epoch

CPU = torch.device("cpu")


def test_an_epoch_is_a_permutation_cut_into_full_batches():
    plan = Plan(images=23, batch_size=5, seed=0)
    assert plan.steps == 4
    first, second = (plan.indices(epoch) for epoch in (0, 1))
    assert first.shape == (4, 5)
    assert first.numel() == len(set(first.flatten().tolist()))
    assert first.max() < 23
    assert not torch.equal(first, second)
    assert torch.equal(first, plan.indices(0))
    assert not torch.equal(first, Plan(23, 5, seed=1).indices(0))


@pytest.mark.parametrize("parts, ranks", [(1, 1), (2, 1), (1, 3), (2, 3)])
def test_parts_and_ranks_share_the_same_batches(parts, ranks):
    whole = Plan(images=50, batch_size=12, seed=0)
    shares = torch.stack(
        [Plan(50, 12, 0, parts, rank, ranks).indices(1, first_step=1) for rank in range(ranks)],
        dim=1,
    )
    assert shares.shape == ((whole.steps - 1) * parts, ranks, 12 // parts // ranks)
    assert torch.equal(shares.view(-1, 12), whole.indices(1)[1:])


def test_starting_later_in_an_epoch_gives_the_same_views():
    images = torch.randint(0, 256, (20, 16, 16, 3), dtype=torch.uint8)
    views = build_views(Views(local=2, local_size=8), 16)
    plan = Plan(20, 5, seed=3)
    whole = list(views_of_epoch(images, views, plan, 2, 0, device=CPU))
    rest = list(views_of_epoch(images, views, plan, 2, 3, device=CPU))
    assert len(whole) == 4 and len(rest) == 1
    global_views, local_views, labels = whole[3]
    assert labels == ()
    assert [v.shape for v in global_views] == [(5, 3, 16, 16)] * 2
    assert [v.shape for v in local_views] == [(5, 3, 8, 8)] * 2
    for a, b in zip(global_views + local_views, rest[0][0] + rest[0][1], strict=True):
        assert torch.equal(a, b)


def test_blur_kernel_is_a_tenth_of_the_side_and_odd():
    sizes = {s: build_views(Views(), s).global_policy.blur_kernel for s in (16, 32, 64, 96)}
    assert sizes == {16: 3, 32: 3, 64: 7, 96: 9}
