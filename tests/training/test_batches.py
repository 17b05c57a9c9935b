import torch

from sslpipe import schema
from sslpipe.training.batches import Plan, build_views, views_of_epoch


def test_an_epoch_is_a_permutation_cut_into_full_batches():
    plan = Plan(images=23, batch_size=5, seed=0)
    assert plan.steps == 4
    first, second = (torch.cat(plan.batches(epoch)) for epoch in (0, 1))
    assert len(first) == len(set(first.tolist())) == 20
    assert first.max() < 23
    assert not torch.equal(first, second)
    assert torch.equal(first, torch.cat(plan.batches(0)))
    assert not torch.equal(first, torch.cat(Plan(23, 5, seed=1).batches(0)))


def test_starting_later_in_an_epoch_gives_the_same_views():
    images = torch.randint(0, 256, (20, 16, 16, 3), dtype=torch.uint8)
    views = build_views(schema.Views(local=2, local_size=8), 16)
    plan = Plan(20, 5, seed=3)
    whole = list(views_of_epoch(images, views, plan, 2, 0, 0))
    rest = list(views_of_epoch(images, views, plan, 2, 3, 0))
    assert len(whole) == 4 and len(rest) == 1
    global_views, local_views = whole[3]
    assert [v.shape for v in global_views] == [(5, 3, 16, 16)] * 2
    assert [v.shape for v in local_views] == [(5, 3, 8, 8)] * 2
    for a, b in zip(global_views + local_views, rest[0][0] + rest[0][1], strict=True):
        assert torch.equal(a, b)


def test_blur_kernel_is_a_tenth_of_the_side_and_odd():
    sizes = {s: build_views(schema.Views(), s).global_policy.blur_kernel for s in (16, 32, 64, 96)}
    assert sizes == {16: 3, 32: 3, 64: 7, 96: 9}
