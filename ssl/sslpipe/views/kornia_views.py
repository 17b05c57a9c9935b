"""Views by kornia's functions, a batch at a time with per-sample parameters.

Against torchvision's pixels, given the same parameters, kornia differs in three ways:
- the crop is a plain bilinear warp: no antialiasing when a crop is reduced, and the outermost half
  pixel of a crop blends with its neighbour outside the crop instead of repeating the edge;
- luminance weights are (0.299, 0.587, 0.114), where torchvision's first is 0.2989;
- hue is computed in radians, which costs some float32 digits.
"""

import math

import kornia.color
import kornia.enhance
import kornia.filters
import kornia.geometry
import torch
from torch import Tensor

from sslpipe.views.policy import BRIGHTNESS, CONTRAST, HUE, SATURATION, ViewParameters, ViewPolicy

# The variants that follow PIL's and torchvision's definitions of the factors.
_JITTER = {
    BRIGHTNESS: kornia.enhance.adjust_brightness_accumulative,
    CONTRAST: kornia.enhance.adjust_contrast_with_mean_subtraction,
    SATURATION: kornia.enhance.adjust_saturation_with_gray_subtraction,
    HUE: lambda x, turns: kornia.enhance.adjust_hue(x, turns * (2 * math.pi)),
}


def render(images: Tensor, parameters: ViewParameters, policy: ViewPolicy) -> Tensor:
    """uint8 (N, H, W, 3) -> float32 (N, 3, size, size) in [0, 1]."""
    x = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    x = _crop(x.div_(255), parameters, policy.size)
    x = torch.where(_per_sample(parameters.flip), kornia.geometry.transform.hflip(x), x)
    x = _jitter(x, parameters)
    gray = kornia.color.rgb_to_grayscale(x)
    x = torch.where(_per_sample(parameters.grayscale), gray, x)
    chosen = parameters.blur.nonzero()[:, 0]
    if len(chosen):
        sigma = parameters.sigma[chosen, None].expand(-1, 2)
        kernel = (policy.blur_width, policy.blur_width)
        x[chosen] = kornia.filters.gaussian_blur2d(x[chosen], kernel, sigma, border_type="reflect")
    return x.clamp_(0, 1)


def _crop(x: Tensor, parameters: ViewParameters, size: int) -> Tensor:
    """Warp each crop of (N, 3, H, W) to (N, 3, size, size), pixel centres at half-integers.

    kornia's own box cropping aligns the corner pixels' centres instead, which is another scale than
    that of every resize; hence the matrix is made here.
    """
    matrix = x.new_zeros(len(x), 2, 3)
    spans = ((parameters.left, parameters.width), (parameters.top, parameters.height))
    for axis, (start, length) in enumerate(spans):
        scale = size / length.float()
        matrix[:, axis, axis] = scale
        matrix[:, axis, 2] = (0.5 - start) * scale - 0.5
    return kornia.geometry.transform.warp_affine(
        x, matrix, (size, size), mode="bilinear", padding_mode="border", align_corners=True
    )


def _jitter(x: Tensor, parameters: ViewParameters) -> Tensor:
    """The four colour operations in each sample's own order, on (N, 3, S, S) in place."""
    for slot in range(4):
        for operation, function in _JITTER.items():
            here = parameters.jitter & (parameters.order[:, slot] == operation)
            chosen = here.nonzero()[:, 0]
            if len(chosen):
                x[chosen] = function(x[chosen], parameters.factors[chosen, operation])
    return x


def _per_sample(mask: Tensor) -> Tensor:
    """(N,) -> (N, 1, 1, 1), to broadcast over images."""
    return mask[:, None, None, None]
