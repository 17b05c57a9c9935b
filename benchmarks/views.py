"""Views a second, from uint8 images to normalised float views, one policy for all subjects.

On a CPU on one thread, against lightly's transform on PIL images. On a GPU, images resident there,
against kornia; training there uses the compiled ones.
"""

from collections.abc import Callable, Iterator

import torch

from sslpipe.schema.training import Views
from sslpipe.training.batches import build_views
from sslpipe.views.multicrop import RENDERERS, MultiCrop
from sslpipe.views.normalize import normalize

from .peers import installed, lightly_views
from .pictures import pictures
from .table import Row, compared
from .timing import median_rates, one_thread

PACKAGES = ("torch", "torchvision", "kornia", "lightly", "pillow")
SIDES = (32, 64, 96)


def run(device: torch.device, threads: int) -> Iterator[list[Row]]:
    for side in SIDES:
        if device.type == "cuda":
            yield on_gpu(side, device)
        else:
            yield on_one_core(side)


def on_one_core(side: int, batch: int = 128) -> list[Row]:
    images = pictures(batch, side)
    subjects = {name: ours(images, maker(name, side)) for name in RENDERERS}
    if installed("lightly"):
        subjects["lightly"] = lightly_views(images)
    with one_thread():
        rates = median_rates(subjects, 2 * batch, images.device, rounds=7)
    return compared(f"{side} px, 1 thread", rates, "views/s", "lightly")


def on_gpu(side: int, device: torch.device, batch: int = 256) -> list[Row]:
    images = pictures(batch, side).to(device)
    subjects = {
        "batched": ours(images, maker("batched", side)),
        "batched, compiled": ours(images, maker("batched", side, compiled=True)),
        "kornia": ours(images, maker("kornia", side)),
    }
    rates = median_rates(subjects, 2 * batch, device, rounds=7, seconds=0.2)
    return compared(f"{side} px", rates, "views/s", "kornia")


def maker(backend: str, side: int, *, compiled: bool = False) -> MultiCrop:
    return build_views(Views(backend=backend), side, compiled=compiled)


def ours(images: torch.Tensor, multicrop: MultiCrop) -> Callable[[], list[torch.Tensor]]:
    """A function that makes two normalised views of each image."""
    indices = torch.arange(len(images), device=images.device)

    def views() -> list[torch.Tensor]:
        global_views, _ = multicrop(images, seed=0, epoch=0, indices=indices)
        return [normalize(view) for view in global_views]

    return views
