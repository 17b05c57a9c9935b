"""Images and parameters shared by the tests of the views."""

from dataclasses import replace

import torch

from sslpipe.views.keyed import sample_keys
from sslpipe.views.policy import ViewParameters, ViewPolicy, draw


def photographs(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """uint8 (count, height, width, 3): shaded, textured, with an edge, white, black and gray."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.linspace(0, 1, height)[None, :, None, None]
    x = torch.linspace(0, 1, width)[None, None, :, None]
    waves = torch.rand(4, count, 1, 1, 3, generator=generator) * 9
    images = 0.5 + 0.45 * torch.sin(waves[0] * x + waves[1]) * torch.cos(waves[2] * y + waves[3])
    images = images + 0.1 * torch.randn(count, height, width, 3, generator=generator)
    images[:, : height // 4, : width // 3] = 1.0
    images[:, -height // 5 :, -width // 4 :] = 0.0
    images[:, height // 2 : height // 2 + 3] = 0.4
    return images.clamp(0, 1).mul(255).round().to(torch.uint8)


def draw_by(
    policy: ViewPolicy, *, seed: int, epoch: int, indices: torch.Tensor, view: int, **size: int
) -> ViewParameters:
    keys = sample_keys(indices, seed=seed, epoch=epoch, view=view)
    return draw(policy, keys, **size)


def drawn(policy: ViewPolicy, images: torch.Tensor, **key) -> ViewParameters:
    """Parameters for these images, numbered from 0 unless the key says otherwise."""
    key = {"seed": 1, "epoch": 2, "view": 0, "indices": torch.arange(len(images)), **key}
    return draw_by(policy, image_height=images.shape[1], image_width=images.shape[2], **key)


def only(parameters: ViewParameters, *wanted: str) -> ViewParameters:
    """The parameters with every effect but the wanted ones (flip, jitter, ...) switched off."""
    off = {"flip", "jitter", "grayscale", "blur"} - set(wanted)
    return replace(parameters, **{name: torch.zeros_like(parameters.flip) for name in off})
