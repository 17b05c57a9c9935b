"""Views of a whole batch at a time, each sample with its own parameters; CPU and GPU.

The pixels are those of torchvision's transforms with `antialias=True`, up to float32 rounding (or,
on a GPU told to use it, TF32's, which is an eighth of a level of 8 bits).
What makes it fast is that nothing loops over samples:
- crop, resize and flip are two products with per-sample interpolation matrices (`_resample`);
- brightness, contrast, saturation and grayscale are one formula, a blend of the image with a
  reference (`_blend`), so that samples with different operations share a pass;
- every sample has one hue shift, so its other operations are sorted to before and after it;
- the hue shift has no branches (`_shift_hue`).

On a GPU, and when compiled, all shapes are fixed by the batch and nothing waits for the device:
samples without blur get the identity kernel. On a CPU only the chosen samples are blurred, and the
batch is worked through in pieces that fit the cache.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslpipe.views.policy import CONTRAST, HUE, SATURATION, ViewParameters, ViewPolicy

# torchvision's luminance (ITU-R 601-2, as rounded in `rgb_to_grayscale`).
_RED, _GREEN, _BLUE = 0.2989, 0.587, 0.114

# Output pixels in a piece; larger pieces fall out of the cache, smaller ones are all overhead.
_PIECE_PIXELS = 64 * 64 * 64


def render(images: Tensor, parameters: ViewParameters, policy: ViewPolicy) -> Tensor:
    """uint8 (N, H, W, 3) -> float32 (N, 3, size, size) in [0, 1]."""
    # Inside a training step's autocast the products below would be done in bfloat16.
    with torch.autocast(images.device.type, enabled=False):
        if images.is_cuda or torch.compiler.is_compiling():
            return render_static(images, parameters, policy)
        return render_pieces(images, parameters, policy)


def render_static(images: Tensor, parameters: ViewParameters, policy: ViewPolicy) -> Tensor:
    """All samples through all operations, with neutral values where one is not wanted."""
    x = _recolour(_resample(images, parameters, policy.size), parameters)
    kernels = _blur_kernels(parameters.sigma, policy.blur_width)
    identity = torch.arange(policy.blur_width, device=x.device) == policy.blur_width // 2
    kernels = torch.where(parameters.blur[:, None], kernels, identity.to(kernels.dtype))
    return _blur(x, kernels).clamp_(0, 1)


def render_pieces(images: Tensor, parameters: ViewParameters, policy: ViewPolicy) -> Tensor:
    """A few samples at a time, blurring only those that want it."""
    views = torch.empty(len(images), 3, policy.size, policy.size, device=images.device)
    step = max(1, _PIECE_PIXELS // policy.size**2)
    for start in range(0, len(images), step):
        piece = slice(start, start + step)
        some = parameters[piece]
        x = _recolour(_resample(images[piece], some, policy.size), some)
        chosen = some.blur.nonzero()[:, 0]
        if len(chosen):
            kernels = _blur_kernels(some.sigma[chosen], policy.blur_width)
            x.index_copy_(0, chosen, _blur(x.index_select(0, chosen), kernels).clamp_(0, 1))
        views[piece] = x
    return views


def _resample(images: Tensor, parameters: ViewParameters, size: int) -> Tensor:
    """Crop, resize and flip: uint8 (N, H, W, 3) -> float32 (N, 3, size, size) in [0, 1 + 1e-6]."""
    count, height, width, _ = images.shape
    p = parameters
    rows = _interpolation(p.top, p.height, torch.zeros_like(p.flip), size, height)
    columns = _interpolation(p.left, p.width, p.flip, size, width)
    # Rows first: bytes of one row lie together, so no transposition comes before this product.
    x = torch.bmm(rows, images.reshape(count, height, width * 3).float().div_(255))
    x = x.view(count, size, width, 3).permute(0, 3, 1, 2).reshape(count, 3 * size, width)
    return torch.bmm(x, columns.transpose(1, 2)).view(count, 3, size, size)


def _interpolation(start: Tensor, length: Tensor, flip: Tensor, size: int, extent: int) -> Tensor:
    """Weights that resize [start, start + length) of an axis of `extent` pixels to `size` pixels.

    int64 (N,), int64 (N,), bool (N,) -> float32 (N, size, extent), rows summing to 1: the triangle
    filter of PIL and of torchvision's `antialias=True`, centred at half-integers, as wide as the
    step between outputs but at least one pixel, cut off at the crop's edges.
    """
    step = (length / size)[:, None]
    half_width = step.clamp(min=1)
    centres = torch.arange(size, device=start.device) + 0.5
    centres = torch.where(flip[:, None], size - centres, centres) * step / half_width
    pixels = torch.arange(extent, device=start.device) - start[:, None]
    inside = (pixels >= 0) & (pixels < length[:, None])
    # Pixels outside the crop are put out of every triangle's reach.
    pixels = torch.where(inside, (pixels + 0.5) / half_width, torch.inf)
    distance = (pixels[:, None, :] - centres[:, :, None]).abs_()
    weights = distance.neg_().add_(1).clamp_(min=0)
    return weights.div_(weights.sum(dim=2, keepdim=True))


def _recolour(x: Tensor, parameters: ViewParameters) -> Tensor:
    """Colour jitter in each sample's own order, then grayscale: (N, 3, S, S) -> the same."""
    order, factors, jitter = parameters.order, parameters.factors, parameters.jitter[:, None]
    is_hue = order == HUE
    past_hue = is_hue.cumsum(dim=1) > 0
    factor = torch.where(jitter & ~is_hue, factors.gather(1, order), 1.0)
    before = torch.where(past_hue, 1.0, factor)
    after = torch.where(past_hue, factor, 1.0)
    for slot in range(3):
        x = _blend(x, order[:, slot], before[:, slot])
    x = _shift_hue(x, torch.where(parameters.jitter, factors[:, HUE], 0.0))
    for slot in range(1, 4):
        x = _blend(x, order[:, slot], after[:, slot])
    # Grayscale is saturation 0.
    saturation = torch.full_like(order[:, 0], SATURATION)
    return _blend(x, saturation, torch.where(parameters.grayscale, 0.0, 1.0))


def _blend(x: Tensor, operation: Tensor, factor: Tensor) -> Tensor:
    """factor * image + (1 - factor) * reference, clamped to [0, 1], in place.

    The reference is black for BRIGHTNESS, the mean luminance for CONTRAST and each pixel's
    luminance for SATURATION. x: (N, 3, S, S); operation: int64 (N,); factor: float32 (N,), where 1
    leaves a sample exactly as it is.
    """
    luminance = x[:, 0].mul(_RED).add_(x[:, 1], alpha=_GREEN).add_(x[:, 2], alpha=_BLUE)
    mean = luminance.mean(dim=(1, 2))
    of_mean = torch.where(operation == CONTRAST, 1 - factor, 0.0) * mean
    of_pixel = torch.where(operation == SATURATION, 1 - factor, 0.0)
    reference = torch.addcmul(of_mean[:, None, None], luminance, of_pixel[:, None, None])
    scale = factor[:, None, None, None]
    return torch.addcmul(reference[:, None], x, scale, out=x).clamp_(0, 1)


def _shift_hue(x: Tensor, turns: Tensor) -> Tensor:
    """Add `turns` (N,), in [-0.5, 0.5], to the HSV hue of x, (N, 3, S, S) in [0, 1].

    With the channels scaled so that their minimum is 0 and their maximum 1, the distance of the hue
    from red is 1 + g + b - r sixths of a turn, on green's side where g >= b. Back from a hue of h
    sixths, a channel is the maximum less the chroma times a trapezoid in h. Both are the usual
    sextant tables (torchvision's `adjust_hue`) without their case distinctions.
    """
    red, green, blue = x.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    chroma = value - least
    distance = (green + blue).sub_(red).sub_(least).add_(chroma)
    # Where chroma is 0 so is the distance, and any hue gives the same gray.
    distance.div_((chroma * 6).clamp_(min=1e-20))
    hue = torch.copysign(distance, green - blue).add_(turns[:, None, None])
    hue = hue.sub_(hue.floor()).mul_(6)
    return torch.stack(
        [
            torch.addcmul(value, (hue - 3).abs_().sub_(2).clamp_(-1, 0), chroma),
            torch.addcmul(value, (hue - 2).abs_().sub_(1).clamp_(0, 1), chroma, value=-1),
            torch.addcmul(value, (hue - 4).abs_().sub_(1).clamp_(0, 1), chroma, value=-1),
        ],
        dim=1,
    )


def _blur_kernels(sigma: Tensor, width: int) -> Tensor:
    """Gaussians sampled at the pixels, with sum 1: float32 (N,) -> (N, width)."""
    offsets = torch.arange(width, device=sigma.device) - width // 2
    return torch.softmax(-0.5 * (offsets / sigma[:, None]).square(), dim=1)


def _blur(x: Tensor, kernels: Tensor) -> Tensor:
    """Convolve each sample with its kernel along both axes, reflecting at the border.

    x: (N, 3, S, S); kernels: (N, K). Samples and channels become groups of one convolution.
    """
    count, channels, height, width = x.shape
    length = kernels.shape[1]
    groups = count * channels
    x = F.pad(x, (length // 2,) * 4, mode="reflect")
    x = x.view(1, groups, *x.shape[2:])
    kernels = kernels.repeat_interleave(channels, dim=0)
    x = F.conv2d(x, kernels.view(groups, 1, 1, length), groups=groups)
    x = F.conv2d(x, kernels.view(groups, 1, length, 1), groups=groups)
    return x.view(count, channels, height, width)
