"""Frozen features: one un-augmented forward pass over packed images."""

import numpy as np
import torch
from torch import Tensor, nn

from sslpipe.progress import progress
from sslpipe.views.normalize import as_input


@torch.no_grad()
def extract(
    encoder: nn.Module,
    images: np.ndarray | Tensor,
    *,
    device: torch.device,
    autocast: torch.dtype | None = None,
    batch_size: int = 512,
    what: str | None = None,
) -> Tensor:
    """Features (N, width) fp32 on the CPU of images (N, H, W, 3) uint8, in evaluation mode.

    `what` names the work for a progress bar; None shows none. The encoder is left in the mode it
    was found in.
    """
    was_training = encoder.training
    encoder.eval()
    starts = range(0, len(images), batch_size)
    if what is not None:
        starts = progress(starts, what=what, unit=f"batches of {batch_size}")
    parts = []
    for start in starts:
        batch = torch.as_tensor(images[start : start + batch_size]).to(device)
        with torch.autocast(device.type, autocast, enabled=autocast is not None):
            parts.append(encoder(as_input(batch)).float().cpu())
    encoder.train(was_training)
    return torch.cat(parts)
