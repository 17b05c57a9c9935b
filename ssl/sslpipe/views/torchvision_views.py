"""Views by torchvision, one sample after another: the reference that the others are held against.

Resampling is torchvision's default for training transforms, bilinear with `antialias=True`: a
triangle filter as wide as the step where a crop is reduced, plain bilinear where it is enlarged.
"""

import torchvision.transforms.v2.functional as F
from torch import Tensor

from sslpipe.views.policy import BRIGHTNESS, CONTRAST, HUE, SATURATION, ViewParameters, ViewPolicy

_JITTER = {
    BRIGHTNESS: F.adjust_brightness,
    CONTRAST: F.adjust_contrast,
    SATURATION: F.adjust_saturation,
    HUE: F.adjust_hue,
}


def render(images: Tensor, parameters: ViewParameters, policy: ViewPolicy) -> Tensor:
    """uint8 (N, H, W, 3) -> float32 (N, 3, size, size) in [0, 1]."""
    images = images.permute(0, 3, 1, 2).float().div_(255)
    views = images.new_empty(len(images), 3, policy.size, policy.size)
    columns = [column.tolist() for column in vars(parameters).values()]
    for n, row in enumerate(zip(*columns, strict=True)):
        sample = dict(zip(vars(parameters), row, strict=True))
        views[n] = _view(images[n].contiguous(), sample, policy)
    # Filter weights sum to 1 only up to rounding, so white may come out as 1 + 1e-7.
    return views.clamp_(0, 1)


def _view(image: Tensor, sample: dict, policy: ViewPolicy) -> Tensor:
    """float32 (3, H, W) -> (3, size, size), with one sample's parameters as Python values."""
    box = (sample["top"], sample["left"], sample["height"], sample["width"])
    image = F.resized_crop(image, *box, size=[policy.size, policy.size], antialias=True)
    if sample["flip"]:
        image = F.horizontal_flip(image)
    if sample["jitter"]:
        for operation in sample["order"]:
            image = _JITTER[operation](image, sample["factors"][operation])
    if sample["grayscale"]:
        image = F.rgb_to_grayscale(image, num_output_channels=3)
    if sample["blur"]:
        kernel = [policy.blur_width, policy.blur_width]
        image = F.gaussian_blur(image, kernel, [sample["sigma"], sample["sigma"]])
    return image
