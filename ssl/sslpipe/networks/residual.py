"""Torchvision's residual networks without their classifier."""

from functools import partial

import torchvision
from torch import nn

from sslpipe.networks.encoder import Encoder
from sslpipe.networks.small_map_conv import SmallMapConv2d
from sslpipe.networks.split_batchnorm import SplitBatchNorm2d


class Residual(torchvision.models.ResNet, Encoder):
    """Torchvision's network, known to be an encoder."""


def build(name: str, stem: str, bn_groups: int) -> Encoder:
    """`name` is torchvision's. `wide_resnet50_2` widens only the 3×3 convolutions and keeps 2048
    features; it is not SimCLR's "ResNet-50 2×".
    `stem="small"` replaces the 7×7 stride-2 convolution and the max-pool by a 3×3 stride-1
    convolution (SimCLR, appendix B.9), for images up to about 40 pixels. `bn_groups` splits batch
    statistics; parameter names and shapes stay torchvision's in every case.
    """
    norm_layer = partial(SplitBatchNorm2d, groups=bn_groups) if bn_groups > 1 else None
    network: Residual = getattr(torchvision.models, name)(weights=None, norm_layer=norm_layer)
    network.__class__ = Residual
    network.fc = nn.Identity()
    if stem == "small":
        network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = nn.Identity()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):  # torchvision takes no other kind as an argument
            module.__class__ = SmallMapConv2d
    return network
