"""Frozen features, in batches as large as the memory allows."""

import numpy as np
import pytest
import torch
from torch import nn

from sslpipe.errors import UserError
from sslpipe.evaluation.chosen import evenly
from sslpipe.evaluation.features import extract, two_views
from sslpipe.views.normalize import as_input

CPU = torch.device("cpu")


class Encoder(nn.Module):
    """Has memory for so many images only, and notes the batches it was given."""

    def __init__(self, most):
        super().__init__()
        self.most, self.seen = most, []

    def forward(self, images):
        self.seen.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError
        return images.mean(dim=(2, 3))


def images(number, side=8):
    return np.random.default_rng(0).integers(0, 256, (number, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("most", [512, 200, 3, 1])
def test_batches_shrink_until_they_fit(most):
    pixels, encoder = images(1100), Encoder(most)
    features = extract(encoder, pixels, device=CPU)
    expected = as_input(torch.from_numpy(pixels)).mean(dim=(2, 3))
    torch.testing.assert_close(features, expected)
    assert sum(n for n in encoder.seen if n <= most) == 1100
    assert (
        sum(n > most for n in encoder.seen) <= 9
    )  # halvings: a size that failed is not tried again


def test_large_images_come_in_small_batches():
    encoder = Encoder(512)
    extract(encoder, images(5, side=1024), device=CPU)
    assert encoder.seen == [4, 1]


def test_no_room_for_one_image_is_one_line():
    with pytest.raises(UserError, match="no memory on cpu to embed a single image of 8×8 pixels"):
        extract(Encoder(0), images(4), device=CPU)


def test_the_encoder_keeps_its_mode():
    for mode in (True, False):
        encoder = Encoder(512).train(mode)
        extract(encoder, images(2), device=CPU)
        assert encoder.training is mode


def test_two_views_are_the_same_whatever_the_other_images():
    pixels = images(6, side=16)
    views = two_views(pixels)
    assert views.shape == (2, *pixels.shape) and views.dtype == np.uint8
    assert (two_views(pixels)[0] == views[0]).all()
    assert (views[0] != views[1]).any() and (views[0] != pixels).any()
    assert (two_views(pixels[:4]) == views[:, :4]).all()


def test_evenly():
    assert evenly(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert evenly(101, 3).tolist() == [0, 50, 100]
    assert len(evenly(10_000, 1000)) == 1000
