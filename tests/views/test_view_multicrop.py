"""Global and local views of a batch."""

from dataclasses import replace

import pytest
import torch
from view_helpers import drawn, photographs

from sslpipe.views import batched_views
from sslpipe.views.multicrop import RENDERERS, MultiCrop
from sslpipe.views.policy import ViewPolicy

GLOBAL = ViewPolicy(size=40, scale=(0.3, 1.0))
LOCAL = ViewPolicy(size=24, scale=(0.05, 0.3))
KEY = {"seed": 1, "epoch": 2}


@pytest.mark.parametrize("backend", RENDERERS)
def test_every_backend_gives_views_of_their_own_sizes(backend):
    images = photographs(5, 48, 48)
    crop = MultiCrop(backend, GLOBAL, LOCAL, locals=3)
    global_views, local_views = crop(images, indices=torch.arange(5), **KEY)
    assert [tuple(view.shape) for view in global_views] == [(5, 3, 40, 40)] * 2
    assert [tuple(view.shape) for view in local_views] == [(5, 3, 24, 24)] * 3
    views = [*(view[:, :, :24, :24] for view in global_views), *local_views]
    for n, one in enumerate(views):
        assert all(not torch.allclose(one, other, atol=0.05) for other in views[n + 1 :])


def test_views_are_numbered_through_and_drawn_from_their_policy():
    images = photographs(6, 48, 64)
    indices = torch.arange(100, 106)
    crop = MultiCrop("batched", GLOBAL, LOCAL, locals=2)
    global_views, local_views = crop(images, indices=indices, **KEY)
    for view, found in enumerate([*global_views, *local_views]):
        policy = GLOBAL if view < 2 else LOCAL
        parameters = drawn(policy, images, indices=indices, view=view, **KEY)
        assert torch.equal(found, batched_views.render(images, parameters, policy))


def test_local_views_do_not_change_the_global_ones():
    images = photographs(6, 48, 48)
    with_locals = MultiCrop("batched", GLOBAL, LOCAL, locals=4)
    without = replace(with_locals, locals=0)
    one, none = (crop(images, indices=torch.arange(6), **KEY) for crop in (with_locals, without))
    assert all(torch.equal(a, b) for a, b in zip(one[0], none[0], strict=True))
    assert none[1] == []


def test_views_follow_the_image_not_the_batch():
    images = photographs(8, 48, 48)
    crop = MultiCrop("batched", GLOBAL, LOCAL, locals=1)
    order = torch.tensor([5, 2, 7])
    together = crop(images, indices=torch.arange(8), **KEY)
    shuffled = crop(images[order], indices=order, **KEY)
    for group, other in zip(together, shuffled, strict=True):
        for one, two in zip(group, other, strict=True):
            torch.testing.assert_close(one[order], two, rtol=0, atol=1e-5)


def test_an_unknown_backend_is_refused_with_the_names():
    with pytest.raises(ValueError, match=r"batched.*kornia.*torchvision"):
        MultiCrop("dali", GLOBAL, LOCAL)


def test_a_negative_number_of_locals_is_refused():
    with pytest.raises(ValueError, match="locals"):
        MultiCrop("batched", GLOBAL, LOCAL, locals=-1)


def test_batched_views_are_one_graph_without_a_wait_for_the_device():
    """A `nonzero` or `.item()` would break the graph; the compiler's own code is not under test."""
    images, indices = photographs(4, 24, 24), torch.arange(4)
    crop = MultiCrop("batched", replace(GLOBAL, size=16), replace(LOCAL, size=12), locals=1)
    compiled = torch.compile(
        lambda x, i: crop(x, indices=i, **KEY), backend="eager", fullgraph=True
    )
    for group, expected in zip(
        compiled(images, indices), crop(images, indices=indices, **KEY), strict=True
    ):
        for view, other in zip(group, expected, strict=True):
            torch.testing.assert_close(view, other, rtol=0, atol=1e-5)
