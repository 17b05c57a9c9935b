"""Trainings small enough to be run many times by tests."""

import numpy as np
import torch
from torch import nn

from sslpipe.networks.split_batchnorm import SplitBatchNorm2d
from sslpipe.running.checkpoint import RunState
from sslpipe.schema.methods.base import Projector
from sslpipe.schema.methods.byol import BYOL
from sslpipe.schema.methods.moco import MoCo
from sslpipe.schema.methods.simclr import SimCLR
from sslpipe.schema.training import Online, Pretrain, ResolvedRun, Views
from sslpipe.training import loop
from sslpipe.training.online import Watched

CPU = torch.device("cpu")
HEAD = Projector(hidden=16, output=8)
SETTINGS = {
    "simclr": SimCLR(projector=HEAD),
    "moco": MoCo(projector=HEAD, queue=32, bn_groups=2),
    "byol": BYOL(projector=HEAD, predictor_hidden=16),
}
METHODS = list(SETTINGS)
# Of a history: what differs between two runs that are the same.
TIMES = ["images_per_s", "data_wait", "resumed"]


class SmallNetwork(nn.Sequential):
    """A residual network's parts, small enough to be saved after every step."""

    width = 8

    def __init__(self, bn_groups):
        norm = nn.BatchNorm2d(8) if bn_groups == 1 else SplitBatchNorm2d(8, bn_groups)
        convolution = nn.Conv2d(3, 8, 3, stride=2, bias=False)
        super().__init__(convolution, norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def small_backbone(name, *, stem, bn_groups):
    return SmallNetwork(bn_groups)


def images(number=40):
    draw = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (number, 16, 16, 3), generator=draw, dtype=torch.uint8)


def make_run(method="moco", *, settings=None, checkpoint_minutes=60, **changes):
    """Two epochs of five steps."""
    pretrain = {
        "epochs": 2,
        "batch_size": 8,
        "checkpoint_minutes": checkpoint_minutes,
        "views": Views(local=1, local_size=8),
        "online": Online(datasets=["random"], knn_every=1, probe_every=2),
    }
    return ResolvedRun(
        name="x",
        method=method,
        backbone="resnet18",
        corpus="c",
        image_size=16,
        settings=SETTINGS[method].model_copy(update=settings or {}),
        pretrain=Pretrain(**(pretrain | changes)),
    )


def watched():
    pixels, labels = images().numpy(), np.arange(40) % 4
    return [Watched("random", pixels[:30], labels[:30], pixels[30:], labels[30:], 4)]


def train(run, folder, *, lead=True, device=CPU, autocast=None):
    with RunState(folder / run.method, "f", lead=lead) as saved:
        return loop.train(run, images(), watched(), saved, device=device, autocast=autocast)
