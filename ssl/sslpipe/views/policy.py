"""What a random view is: the policy, and the parameters drawn from it for each sample.

The policy is SimCLR's (Chen et al. 2020, appendix A): random resized crop, flip, colour jitter,
grayscale, Gaussian blur, in this order. Each draw has the distribution of the torchvision
transform it is named after (`RandomResizedCrop`, `ColorJitter`). A renderer turns parameters into
pixels and draws nothing itself, so every renderer can be given the same views.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sslpipe.views.keyed import uniforms

# Columns of `ViewParameters.factors` and values of `ViewParameters.order`.
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)

_CROP_TRIES = 10  # as in torchvision's RandomResizedCrop

# Which of a sample's uniforms decides what. Appending a slot leaves the other draws as they are.
_AREA = slice(0, 10)
_RATIO = slice(10, 20)
_TOP, _LEFT, _FLIP, _JITTER = 20, 21, 22, 23
_ORDER = slice(24, 28)
_FACTORS = slice(28, 32)
_GRAYSCALE, _BLUR, _SIGMA = 32, 33, 34
_SLOTS = 35


@dataclass(frozen=True)
class ViewPolicy:
    """The distribution of one kind of view.

    `flip`, `jitter`, `grayscale` and `blur` are probabilities; `brightness`, `contrast`,
    `saturation` and `hue` are torchvision's `ColorJitter` strengths; `blur_kernel` is odd, and
    when left out a tenth of the output side (SimCLR, appendix A), rounded to an odd number, at least 3.
    """

    size: int
    scale: tuple[float, float] = (0.2, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    jitter: float = 0.8
    grayscale: float = 0.2
    blur: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    blur_kernel: int | None = None

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be positive, not {self.size}")
        kernel = self.blur_kernel
        if kernel is None:
            smallest = 3 if self.size > 1 else 1
            kernel = max(smallest, self.size // 10 // 2 * 2 + 1)
            object.__setattr__(self, "blur_kernel", kernel)
        for name in ("flip", "jitter", "grayscale", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability, not {getattr(self, name)}")
        for name in ("scale", "ratio", "blur_sigma"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} needs 0 < low <= high, not {(low, high)}")
        if self.scale[1] > 1:
            raise ValueError(f"scale is a share of the image's area, not {self.scale}")
        if min(self.brightness, self.contrast, self.saturation) < 0:
            raise ValueError("brightness, contrast and saturation must not be negative")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"hue must lie in [0, 0.5] turns, not {self.hue}")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"blur_kernel must be odd and positive, not {kernel}")
        if kernel // 2 >= self.size:
            # Reflection at the border mirrors at most size - 1 pixels.
            raise ValueError(f"blur_kernel {kernel} is too wide for size {self.size}")

    @property
    def blur_width(self) -> int:
        """`blur_kernel`, once it is known."""
        assert self.blur_kernel is not None
        return self.blur_kernel


@dataclass(frozen=True)
class ViewParameters:
    """One view's parameters for each of N samples; every tensor is on one device."""

    top: Tensor  # int64 (N,), first row of the crop
    left: Tensor  # int64 (N,), first column
    height: Tensor  # int64 (N,)
    width: Tensor  # int64 (N,)
    flip: Tensor  # bool (N,)
    jitter: Tensor  # bool (N,)
    order: Tensor  # int64 (N, 4), the operation done in each slot, a permutation
    factors: Tensor  # float32 (N, 4): brightness, contrast, saturation, hue shift in turns
    grayscale: Tensor  # bool (N,)
    blur: Tensor  # bool (N,)
    sigma: Tensor  # float32 (N,), standard deviation of the blur in output pixels

    def __len__(self) -> int:
        return len(self.top)

    def __getitem__(self, samples: slice | Tensor) -> "ViewParameters":
        """The parameters of some of the samples (a slice, or int64 or bool (N,))."""
        return ViewParameters(*(getattr(self, field.name)[samples] for field in fields(self)))


def draw(
    policy: ViewPolicy, keys: Tensor, *, image_height: int, image_width: int
) -> ViewParameters:
    """Draw the parameters of one view for N images, on the device of their keys, int64 (N,).

    A sample's parameters follow from its key alone (`keyed.sample_keys`: seed, epoch, image index,
    view). Nothing here waits for the device, and all shapes follow from N.
    """
    u = uniforms(keys, _SLOTS)
    top, left, height, width = _crop(policy, u, image_height, image_width)
    low, high = policy.blur_sigma
    return ViewParameters(
        top=top,
        left=left,
        height=height,
        width=width,
        flip=u[:, _FLIP] < policy.flip,
        jitter=u[:, _JITTER] < policy.jitter,
        # Stable, so that two equal uniforms give the same permutation on every device.
        order=u[:, _ORDER].argsort(dim=1, stable=True),
        factors=_factors(policy, u[:, _FACTORS]),
        grayscale=u[:, _GRAYSCALE] < policy.grayscale,
        blur=u[:, _BLUR] < policy.blur,
        sigma=low + (high - low) * u[:, _SIGMA],
    )


def _crop(
    policy: ViewPolicy, u: Tensor, image_height: int, image_width: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """torchvision's `RandomResizedCrop.get_params`: top, left, height, width, each int64 (N,).

    Ten candidates are drawn at once and the first that fits inside the image is taken. In float64,
    so that a rounding difference of `exp` between devices does not move a crop by a pixel.
    """
    u = u.double()
    low, high = policy.scale
    area = image_height * image_width * (low + (high - low) * u[:, _AREA])
    low, high = math.log(policy.ratio[0]), math.log(policy.ratio[1])
    ratio = (low + (high - low) * u[:, _RATIO]).exp()
    widths = (area * ratio).sqrt().round().long()
    heights = (area / ratio).sqrt().round().long()

    fits = (widths > 0) & (widths <= image_width) & (heights > 0) & (heights <= image_height)
    first = fits.to(torch.int8).argmax(dim=1, keepdim=True)
    width = widths.gather(1, first)[:, 0]
    height = heights.gather(1, first)[:, 0]
    top = (u[:, _TOP] * (image_height - height + 1)).long()
    left = (u[:, _LEFT] * (image_width - width + 1)).long()

    central = _central_crop(policy, image_height, image_width)
    drawn = (top, left, height, width)
    found = fits.any(dim=1)
    top, left, height, width = (
        torch.where(found, d, c) for d, c in zip(drawn, central, strict=True)
    )
    return top, left, height, width


def _central_crop(
    policy: ViewPolicy, image_height: int, image_width: int
) -> tuple[int, int, int, int]:
    """torchvision's fallback after ten misses: the largest central crop of an allowed ratio."""
    height, width = image_height, image_width
    if image_width / image_height < policy.ratio[0]:
        height = round(image_width / policy.ratio[0])
    elif image_width / image_height > policy.ratio[1]:
        width = round(image_height * policy.ratio[1])
    return (image_height - height) // 2, (image_width - width) // 2, height, width


def _factors(policy: ViewPolicy, u: Tensor) -> Tensor:
    """torchvision's `ColorJitter.get_params`: float32 (N, 4) uniforms -> (N, 4) factors."""
    columns = []
    for slot, strength in enumerate((policy.brightness, policy.contrast, policy.saturation)):
        low, high = max(0.0, 1 - strength), 1 + strength
        columns.append(low + (high - low) * u[:, slot])
    columns.append(policy.hue * (2 * u[:, HUE] - 1))
    return torch.stack(columns, dim=1)


def one_view(
    render: Callable[..., Tensor], images: Tensor, keys: Tensor, policy: ViewPolicy
) -> Tensor:
    """A view of each image, uint8 (N, H, W, 3) -> float32 (N, 3, size, size), by its key (N,)."""
    _, height, width, _ = images.shape
    return render(images, draw(policy, keys, image_height=height, image_width=width), policy)
