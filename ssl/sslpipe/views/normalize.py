"""From images to what an encoder takes: ImageNet's channel statistics, channels_last."""

import torch
from torch import Tensor

from sslpipe.views.tensors import constants

# torchvision's reference values for RGB in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalize(x: Tensor) -> Tensor:
    """Subtract the mean and divide by the standard deviation of each channel.

    x: float (N, 3, H, W) in [0, 1]; the result has its shape, dtype and memory layout.
    """
    return _scale_and_shift(x, unit=1.0)


def as_input(images: Tensor) -> Tensor:
    """Un-augmented images for evaluation.

    uint8 (N, H, W, 3) -> normalised float32 (N, 3, H, W) in channels_last, which is the order the
    bytes already have.
    """
    return _scale_and_shift(images.permute(0, 3, 1, 2).float(), unit=255.0)


def _scale_and_shift(x: Tensor, unit: float) -> Tensor:
    """(x / unit - mean) / std in one pass."""
    scales = tuple(1 / (unit * std) for std in IMAGENET_STD)
    shifts = tuple(-mean / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))
    scale, shift = (constants(c, x.device).to(x.dtype)[:, None, None] for c in (scales, shifts))
    return torch.addcmul(shift, x, scale)
