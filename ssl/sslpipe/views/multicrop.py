"""The views of a training batch: one or two global ones and any number of local ones.

Multi-crop is SwAV's (Caron et al. 2020, section 3.2): local views cover less of the image and may
be smaller, so that they cost less.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from sslpipe.views.keyed import sample_keys
from sslpipe.views.policy import ViewPolicy, one_view

# By name, so that a backend's library is imported only when that backend is chosen.
RENDERERS = {
    "batched": "sslpipe.views.batched_views",
    "kornia": "sslpipe.views.kornia_views",
    "torchvision": "sslpipe.views.torchvision_views",
}


def renderer(backend: str) -> Callable[..., Tensor]:
    """The `render` function of a backend."""
    if backend not in RENDERERS:
        raise ValueError(f"unknown view backend {backend!r}: choose one of {sorted(RENDERERS)}")
    return importlib.import_module(RENDERERS[backend]).render


@dataclass(frozen=True)
class MultiCrop:
    """Makes a batch's views; the local policy is used only where `locals` is above 0.

    compiled: draw and render with torch.compile, one kernel for many operations; for GPUs.
    """

    backend: str
    global_policy: ViewPolicy
    local_policy: ViewPolicy
    locals: int = 0
    globals: int = 2
    compiled: bool = False
    # Made once: an import cannot be part of a compiled call.
    _view: Callable[[Tensor, Tensor, ViewPolicy], Tensor] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        view = partial(one_view, renderer(self.backend))
        # Shapes are the batch's, always the same; the numbers that change come in as tensors.
        object.__setattr__(
            self, "_view", torch.compile(view, dynamic=False) if self.compiled else view
        )
        if self.locals < 0:
            raise ValueError(f"locals must not be negative, not {self.locals}")

    def __call__(
        self, images: Tensor, *, seed: int, epoch: int, indices: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Global and local views of a batch.

        images: uint8 (N, H, W, 3); indices: int64 (N,), the images' places in the data set, on the
        same device. Each view is float32 (N, 3, size, size) in [0, 1], with its own policy's size.
        """
        views = []
        for view in range(self.globals + self.locals):
            policy = self.global_policy if view < self.globals else self.local_policy
            keys = sample_keys(indices, seed=seed, epoch=epoch, view=view)
            views.append(self._view(images, keys, policy))
        return views[: self.globals], views[self.globals :]
