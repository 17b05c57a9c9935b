"""lightly, used as its own examples use it."""

import copy
import functools
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.models import resnet18

from .pictures import jpeg
from .timing import synchronize

WIDTH = 512
HIDDEN = {"simclr": 512, "moco": 512, "byol": 1024}
OUTPUT = {"simclr": 128, "moco": 128, "byol": 256}
"""Heads of lightly's examples for ResNet-18."""
LR = 0.06


@functools.cache
def installed(module: str) -> bool:
    """Whether a peer can be imported; says once if not."""
    found = importlib.util.find_spec(module) is not None
    if not found:
        print(f"{module} is not installed: its rows are left out", file=sys.stderr, flush=True)
    return found


def lightly_views(images: Tensor) -> Callable[[], list[Tensor]]:
    """A function that makes two views of each image (N, S, S, 3), by sslpipe's default policy."""
    from lightly.transforms import SimCLRTransform

    transform = SimCLRTransform(
        input_size=images.shape[1],
        min_scale=0.2,
        cj_prob=0.8,
        cj_strength=1.0,
        cj_bright=0.4,
        cj_contrast=0.4,
        cj_sat=0.4,
        cj_hue=0.1,
        random_gray_scale=0.2,
        gaussian_blur=0.5,
        sigmas=(0.1, 2.0),
    )
    pictures = [Image.fromarray(image.numpy()) for image in images]

    def views() -> list[Tensor]:
        return [torch.stack(view) for view in zip(*map(transform, pictures), strict=True)]

    return views


class LightlyTraining:
    """Called, it trains a ResNet-18 on the JPEG files of a folder for an epoch; images a second.

    In fp32, or in bf16 with channels_last. Of no loader workers and `workers` the faster is used.
    """

    def __init__(
        self,
        method: str,
        folder: Path,
        side: int,
        batch: int,
        *,
        queue: int,
        workers: int,
        device: torch.device,
        bf16: bool,
    ) -> None:
        from lightly.data import LightlyDataset

        self.batch, self.device, self.bf16 = batch, device, bf16
        self.layout = torch.channels_last if bf16 else torch.contiguous_format
        self.model = MODELS[method](queue).to(device, memory_format=self.layout).train()
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=LR)
        dataset = LightlyDataset(str(folder), transform=lightly_transform(method, side))
        few = Subset(dataset, range(min(2 * batch, len(dataset))))
        tried = {number: self.second_epoch(self.loader_of(few, number)) for number in (0, workers)}
        self.loader = self.loader_of(dataset, max(tried, key=tried.get))

    def __call__(self) -> float:
        return self.epoch(self.loader)

    def loader_of(self, dataset: Dataset, workers: int) -> DataLoader:
        return DataLoader(
            dataset,
            batch_size=self.batch,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self.device.type == "cuda",
        )

    def second_epoch(self, loader: DataLoader) -> float:
        """Images a second; the first epoch starts the workers."""
        self.epoch(loader)
        return self.epoch(loader)

    def epoch(self, loader: DataLoader) -> float:
        """Images a second, the epoch's start included."""
        synchronize(self.device)
        started = time.perf_counter()
        for views, _, _ in loader:
            views = [
                view.to(self.device, non_blocking=True, memory_format=self.layout) for view in views
            ]
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                loss = self.model(*views)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        synchronize(self.device)
        return len(loader) * self.batch / (time.perf_counter() - started)


def lightly_transform(method: str, side: int) -> Callable[[Image.Image], list[Tensor]]:
    """The method's own transform; without blur up to 32 pixels, as in the examples for CIFAR."""
    from lightly import transforms

    blur = {} if side > 32 else {"gaussian_blur": 0.0}
    if method == "simclr":
        return transforms.SimCLRTransform(input_size=side, **blur)
    if method == "moco":
        return transforms.MoCoV2Transform(input_size=side, **blur)
    return transforms.BYOLTransform(
        transforms.BYOLView1Transform(input_size=side, **blur),
        transforms.BYOLView2Transform(input_size=side, **blur),
    )


def encoder() -> nn.Module:
    network = resnet18(weights=None)
    network.fc = nn.Identity()
    return network


class SimCLR(nn.Module):
    """Called with two views; returns the loss."""

    def __init__(self, queue: int) -> None:
        from lightly.loss import NTXentLoss
        from lightly.models.modules import SimCLRProjectionHead

        super().__init__()
        head = SimCLRProjectionHead(WIDTH, HIDDEN["simclr"], OUTPUT["simclr"])
        self.network = nn.Sequential(encoder(), head)
        self.criterion = NTXentLoss()

    def forward(self, x0: Tensor, x1: Tensor) -> Tensor:
        return self.criterion(self.network(x0), self.network(x1))


class MoCo(nn.Module):
    def __init__(self, queue: int) -> None:
        from lightly.loss import NTXentLoss
        from lightly.models.modules import MoCoProjectionHead

        super().__init__()
        head = MoCoProjectionHead(WIDTH, HIDDEN["moco"], OUTPUT["moco"])
        self.network = nn.Sequential(encoder(), head)
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self.criterion = NTXentLoss(memory_bank_size=(queue, OUTPUT["moco"]))

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        from lightly.models.utils import update_momentum

        update_momentum(self.network, self.target, m=0.99)
        return self.criterion(self.network(query), self.target(key).detach())


class BYOL(nn.Module):
    def __init__(self, queue: int) -> None:
        from lightly.loss import NegativeCosineSimilarity
        from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead

        super().__init__()
        head = BYOLProjectionHead(WIDTH, HIDDEN["byol"], OUTPUT["byol"])
        self.network = nn.Sequential(encoder(), head)
        self.predictor = BYOLPredictionHead(OUTPUT["byol"], HIDDEN["byol"], OUTPUT["byol"])
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self.criterion = NegativeCosineSimilarity()

    def forward(self, x0: Tensor, x1: Tensor) -> Tensor:
        from lightly.models.utils import update_momentum

        update_momentum(self.network, self.target, m=0.99)
        p0, z0 = self.predictor(self.network(x0)), self.target(x0).detach()
        p1, z1 = self.predictor(self.network(x1)), self.target(x1).detach()
        return 0.5 * (self.criterion(p0, z1) + self.criterion(p1, z0))


MODELS = {"simclr": SimCLR, "moco": MoCo, "byol": BYOL}


def write_files(images: Tensor, folder: Path) -> None:
    """A JPEG file for each of (N, S, S, 3) uint8."""
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        (folder / f"{number:06}.jpg").write_bytes(jpeg(image))
