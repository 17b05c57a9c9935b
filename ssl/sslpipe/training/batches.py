"""Which images a step sees, and the views made of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sslpipe.data.corpus_images import Images
from sslpipe.methods.method import Labels
from sslpipe.schema.training import Views as ViewSettings
from sslpipe.seeds import generator
from sslpipe.views.multicrop import MultiCrop
from sslpipe.views.normalize import normalize
from sslpipe.views.policy import ViewPolicy

Views = list[Tensor]


class Part(NamedTuple):
    """Views float32 (N, 3, S, S) of the images of one part of a batch, and its labels if they are asked
    for."""

    global_views: Views
    local_views: Views
    labels: tuple[Labels, ...] = ()


def build_views(
    settings: ViewSettings,
    image_size: int,
    *,
    global_views: int = 2,
    colour: bool = True,
    compiled: bool = False,
) -> MultiCrop:
    """The view maker of a run: global views of `image_size`, local ones of `local_size`."""
    if not colour:
        settings = settings.model_copy(update={"jitter": 0.0, "grayscale": 0.0, "blur": 0.0})

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
        global_views,
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

    images: uint8 (N, H, W, 3), on `device` or on the CPU; views are made on `device`. labels: (N,).
    """

    def __init__(
        self,
        images: Images,
        multicrop: MultiCrop,
        plan: Plan,
        epoch: int,
        first_step: int,
        device: torch.device,
        labels: Labels | None = None,
    ) -> None:
        self.images, self.multicrop, self.device = images, multicrop, device
        self.labels = None if labels is None else Labels(*(some.to(device) for some in labels))
        self.seed, self.epoch = plan.seed, epoch
        indices = plan.indices(epoch, first_step)
        # At once for the epoch: a copy for each step would make the GPU wait.
        self.on_device = indices.to(device)
        self.where_images_are = indices if images.device.type == "cpu" else self.on_device

    def __len__(self) -> int:
        return len(self.on_device)

    def __getitem__(self, i: int) -> Part:
        if i >= len(self):
            raise IndexError(i)
        # index_select: advanced indexing of uint8 is several times slower.
        batch = self.images.index_select(0, self.where_images_are[i])
        if batch.device != self.device:
            # Pinned memory is what lets a copy run beside the step before.
            batch = batch.pin_memory().to(self.device, non_blocking=True)
        rows = self.on_device[i]
        views = self.multicrop(batch, seed=self.seed, epoch=self.epoch, indices=rows)
        if self.labels is None:
            return Part(*views)
        return Part(*views, (Labels(*(some.index_select(0, rows) for some in self.labels)),))


def views_of_epoch(
    images: Images,
    multicrop: MultiCrop,
    plan: Plan,
    epoch: int,
    first_step: int,
    *,
    device: torch.device,
    workers: int = 0,
    labels: Labels | None = None,
) -> Iterator[Part]:
    """Each remaining part of an epoch.

    images: uint8 (N, H, W, 3); views are float32 in [0, 1], on the device, or with worker processes
    on the CPU. labels: (N,), of the images.
    """
    if workers == 0:
        return iter(ViewsOfParts(images, multicrop, plan, epoch, first_step, device, labels))
    cpu = torch.device("cpu")
    dataset = ViewsOfParts(images, multicrop, plan, epoch, first_step, cpu, labels)
    return iter(
        DataLoader(dataset, batch_size=None, num_workers=workers, pin_memory=device.type == "cuda")
    )


def as_input(part: Part, device: torch.device) -> Part:
    """The same on the device, its views normalised and channels last."""

    def moved(views: Views) -> Views:
        normalised = (normalize(view.to(device, non_blocking=True)) for view in views)
        return [view.contiguous(memory_format=torch.channels_last) for view in normalised]

    labels = tuple(
        Labels(*(some.to(device, non_blocking=True) for some in labels)) for labels in part.labels
    )
    return Part(moved(part.global_views), moved(part.local_views), labels)
