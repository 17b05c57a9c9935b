"""Which images a step sees, and the views made of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sslpipe import schema
from sslpipe.seeds import generator
from sslpipe.views import MultiCrop, ViewPolicy

Views = tuple[list[Tensor], list[Tensor]]


def build_views(settings: schema.Views, image_size: int) -> MultiCrop:
    """The view maker of a run: global views of `image_size`, local ones of `local_size`."""

    def policy(size: int, scale: tuple[float, float]) -> ViewPolicy:
        return ViewPolicy(
            size=size,
            scale=scale,
            ratio=settings.ratio,
            flip=settings.flip,
            brightness=settings.brightness,
            contrast=settings.contrast,
            saturation=settings.saturation,
            hue=settings.hue,
            jitter=settings.jitter,
            grayscale=settings.grayscale,
            blur=settings.blur,
            blur_sigma=settings.blur_sigma,
            blur_kernel=settings.blur_kernel,
        )

    local_size = settings.local_size or image_size
    return MultiCrop(
        settings.backend,
        policy(image_size, settings.scale),
        policy(local_size, settings.local_scale),
        settings.local,
    )


@dataclass(frozen=True)
class Plan:
    """The order of images: a permutation per epoch, cut into full batches.

    A pure function of (seed, epoch), so training can start again at any step.
    """

    images: int
    batch_size: int
    seed: int

    @property
    def steps(self) -> int:
        """Steps of an epoch; an incomplete last batch is left out."""
        return self.images // self.batch_size

    def batches(self, epoch: int, first_step: int = 0) -> list[Tensor]:
        order = torch.randperm(self.images, generator=generator(self.seed, "order", epoch))
        batches = order[: self.steps * self.batch_size].split(self.batch_size)
        return list(batches[first_step:])


class ViewsOfBatches(Dataset):
    """Item i is the views of an epoch's i-th remaining batch; an ordinary torch Dataset, so that
    worker processes can make them ahead. Each view follows from its own key alone, so their
    number changes nothing."""

    def __init__(
        self, images: Tensor, multicrop: MultiCrop, seed: int, epoch: int, batches: list[Tensor]
    ) -> None:
        self.images, self.multicrop = images, multicrop
        self.seed, self.epoch, self.batches = seed, epoch, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, i: int) -> Views:
        if i >= len(self):
            raise IndexError(i)
        indices = self.batches[i].to(self.images.device)
        # index_select: advanced indexing of uint8 is several times slower.
        batch = self.images.index_select(0, indices)
        return self.multicrop(batch, seed=self.seed, epoch=self.epoch, indices=indices)


def views_of_epoch(
    images: Tensor, multicrop: MultiCrop, plan: Plan, epoch: int, first_step: int, workers: int
) -> Iterator[Views]:
    """Yield (global views, local views) for each remaining step of an epoch.

    images: (N, H, W, 3) uint8; views are float32 in [0, 1] on the images' device.
    """
    dataset = ViewsOfBatches(images, multicrop, plan.seed, epoch, plan.batches(epoch, first_step))
    if workers == 0:
        return iter(dataset)
    return iter(
        DataLoader(
            dataset, batch_size=None, num_workers=workers, pin_memory=torch.cuda.is_available()
        )
    )
