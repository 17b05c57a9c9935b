"""Which images a step sees, and the views made of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sslpipe.data.corpus_images import Images
from sslpipe.schema.training import Views as ViewSettings
from sslpipe.seeds import generator
from sslpipe.views.multicrop import MultiCrop
from sslpipe.views.normalize import normalize
from sslpipe.views.policy import ViewPolicy

Views = list[Tensor]


def build_views(settings: ViewSettings, image_size: int, *, compiled: bool = False) -> MultiCrop:
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
        # The others loop over samples, of which a compiler makes nothing.
        compiled=compiled and settings.backend == "batched",
    )


@dataclass(frozen=True)
class Plan:
    """The order of images: a permutation per epoch, cut into full batches.

    A pure function of (seed, epoch), so training can start again at any step. A batch is worked
    through in `parts`, of each of which a rank takes its share: the batches are the same whatever
    the number of either.
    """

    images: int
    batch_size: int
    seed: int
    parts: int = 1
    rank: int = 0
    ranks: int = 1

    @property
    def steps(self) -> int:
        """Steps of an epoch; an incomplete last batch is left out."""
        return self.images // self.batch_size

    def indices(self, epoch: int, first_step: int = 0) -> Tensor:
        """int64 (steps left · parts, images of a part on this rank)."""
        order = torch.randperm(self.images, generator=generator(self.seed, "order", epoch))
        used = order[: self.steps * self.batch_size]
        shares = used.view(self.steps * self.parts, self.ranks, -1)[:, self.rank]
        return shares[first_step * self.parts :]


class ViewsOfParts(Dataset):
    """Item i is the views of an epoch's i-th remaining part; an ordinary torch Dataset, so that
    worker processes can make them ahead. Each view follows from its own key alone, so their
    number changes nothing.

    images: uint8 (N, H, W, 3), on `device` or on the CPU; views are made on `device`.
    """

    def __init__(
        self,
        images: Images,
        multicrop: MultiCrop,
        plan: Plan,
        epoch: int,
        first_step: int,
        device: torch.device,
    ) -> None:
        self.images, self.multicrop, self.device = images, multicrop, device
        self.seed, self.epoch = plan.seed, epoch
        indices = plan.indices(epoch, first_step)
        # At once for the epoch: a copy for each step would make the GPU wait.
        self.on_device = indices.to(device)
        self.where_images_are = indices if images.device.type == "cpu" else self.on_device

    def __len__(self) -> int:
        return len(self.on_device)

    def __getitem__(self, i: int) -> tuple[Views, Views]:
        if i >= len(self):
            raise IndexError(i)
        # index_select: advanced indexing of uint8 is several times slower.
        batch = self.images.index_select(0, self.where_images_are[i])
        if batch.device != self.device:
            # Pinned memory is what lets a copy run beside the step before.
            batch = batch.pin_memory().to(self.device, non_blocking=True)
        return self.multicrop(batch, seed=self.seed, epoch=self.epoch, indices=self.on_device[i])


def views_of_epoch(
    images: Images,
    multicrop: MultiCrop,
    plan: Plan,
    epoch: int,
    first_step: int,
    *,
    device: torch.device,
    workers: int = 0,
) -> Iterator[tuple[Views, Views]]:
    """Yield (global views, local views) for each remaining part of an epoch.

    images: uint8 (N, H, W, 3); views are float32 in [0, 1], on the device, or with worker processes
    on the CPU.
    """
    if workers == 0:
        return iter(ViewsOfParts(images, multicrop, plan, epoch, first_step, device))
    dataset = ViewsOfParts(images, multicrop, plan, epoch, first_step, torch.device("cpu"))
    return iter(
        DataLoader(dataset, batch_size=None, num_workers=workers, pin_memory=device.type == "cuda")
    )


def as_input(views: Views, device: torch.device) -> Views:
    """Views float (N, 3, S, S) in [0, 1], normalised and channels last on the device."""
    moved = (normalize(view.to(device, non_blocking=True)) for view in views)
    return [view.contiguous(memory_format=torch.channels_last) for view in moved]
