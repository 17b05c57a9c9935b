"""Frozen features: one un-augmented forward pass over packed images."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from sslpipe.errors import UserError
from sslpipe.io.progress import progress
from sslpipe.views.batched_views import render
from sslpipe.views.keyed import sample_keys
from sslpipe.views.normalize import as_input
from sslpipe.views.policy import ViewPolicy, draw

# Pixels of a batch: 512 images of 96×96.
BATCH_PIXELS = 512 * 96 * 96


@torch.no_grad()
def extract(
    encoder: nn.Module,
    images: np.ndarray | Tensor,
    *,
    device: torch.device,
    autocast: torch.dtype | None = None,
    what: str | None = None,
) -> Tensor:
    """Features (N, width) fp32 on the CPU of images (N, H, W, 3) uint8, in evaluation mode.

    `what` names the work for a progress bar; None shows none. The encoder is left in the mode it
    was found in. A batch that a GPU has no memory for is halved, and so are those after it; raises
    UserError when one image is too many.
    """
    was_training = encoder.training
    encoder.eval()
    largest = max(1, min(512, BATCH_PIXELS // (images.shape[1] * images.shape[2])))
    starts: Iterable[int] = range(0, len(images), largest)
    if what is not None:
        starts = progress(starts, what=what, unit=f"batches of {largest}")
    parts = []
    size = largest
    for start in starts:
        batch = images[start : start + largest]
        while True:
            try:
                parts += [
                    _features(encoder, batch[i : i + size], device, autocast)
                    for i in range(0, len(batch), size)
                ]
                break
            except torch.OutOfMemoryError:
                if size == 1:
                    height, width = images.shape[1:3]
                    raise UserError(
                        f"no memory on {device} to embed a single image of {width}×{height} pixels: "
                        "another process may hold it"
                    ) from None
                size //= 2
    encoder.train(was_training)
    return torch.cat(parts)


def two_views(images: np.ndarray) -> np.ndarray:
    """Two random views of each image: uint8 (N, S, S, 3) → (2, N, S, S, 3).

    By the default policy whatever a run was trained with, and by the same draws for all runs, so
    that their alignment is measured alike.
    """
    count, height, width, _ = images.shape
    policy = ViewPolicy(size=height)
    views = np.empty((2, *images.shape), dtype=np.uint8)
    for view in range(2):
        keys = sample_keys(torch.arange(count), seed=0, epoch=0, view=view)
        drawn = draw(policy, keys, image_height=height, image_width=width)
        rendered = render(torch.as_tensor(images), drawn, policy)
        views[view] = (255 * rendered).round().byte().permute(0, 2, 3, 1).numpy()
    return views


def _features(
    encoder: nn.Module,
    images: np.ndarray | Tensor,
    device: torch.device,
    autocast: torch.dtype | None,
) -> Tensor:
    batch = torch.as_tensor(images).to(device)
    with torch.autocast(device.type, autocast, enabled=autocast is not None):
        return encoder(as_input(batch)).float().cpu()
