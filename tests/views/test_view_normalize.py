"""What an encoder is given."""

import torch
import torchvision.transforms.v2.functional as F
from view_helpers import photographs

from sslpipe.views.normalize import as_input, normalize

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def test_normalize_is_torchvisions_and_keeps_the_layout():
    x = torch.rand(4, 3, 10, 12)
    expected = F.normalize(x, MEAN, STD)
    torch.testing.assert_close(normalize(x), expected)
    assert normalize(x).is_contiguous()
    channels_last = x.contiguous(memory_format=torch.channels_last)
    assert normalize(channels_last).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(normalize(channels_last), expected)


def test_normalize_keeps_the_dtype():
    assert normalize(torch.rand(2, 3, 4, 4, dtype=torch.float64)).dtype == torch.float64


def test_as_input_is_the_normalised_image_in_channels_last():
    images = photographs(3, 14, 9)
    x = as_input(images)
    expected = F.normalize(images.permute(0, 3, 1, 2) / 255, MEAN, STD)
    assert x.dtype == torch.float32 and x.shape == (3, 3, 14, 9)
    assert x.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(x, expected, rtol=1e-5, atol=1e-6)
