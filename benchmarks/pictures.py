"""Random pictures that compress and resize like photographs: smooth, with some noise."""

import io

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F


def pictures(count: int, side: int) -> Tensor:
    """uint8 (count, side, side, 3), the same in each call."""
    draw = torch.Generator().manual_seed(0)
    images = torch.empty(count, side, side, 3, dtype=torch.uint8)
    for part in images.split(256):
        coarse = torch.rand(len(part), 3, 8, 8, generator=draw)
        smooth = F.interpolate(coarse, size=side, mode="bicubic", align_corners=False)
        noise = 0.03 * torch.randn(len(part), 3, side, side, generator=draw)
        part.copy_(((smooth + noise) * 255).clamp_(0, 255).permute(0, 2, 3, 1))
    return images


def jpeg(image: Tensor, quality: int = 95) -> bytes:
    """uint8 (H, W, 3) → an encoded file."""
    file = io.BytesIO()
    Image.fromarray(image.numpy()).save(file, "JPEG", quality=quality)
    return file.getvalue()
