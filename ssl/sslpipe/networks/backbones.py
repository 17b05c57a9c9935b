"""Image encoders: torchvision's residual networks without their classifier, and raw pixels."""

from functools import partial

import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from sslpipe.networks.small_map_conv import SmallMapConv2d
from sslpipe.networks.split_batchnorm import SplitBatchNorm2d


class Pixels(nn.Module):
    """The raw-pixel baseline: the image averaged down to 16×16, as a vector of 768.

    Shapes: (N, 3, H, W) float -> (N, 768) float.
    """

    width = 16 * 16 * 3

    def forward(self, images: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(images, 16).flatten(1)


def build_backbone(name: str, *, stem: str = "imagenet", bn_groups: int = 1) -> nn.Module:
    """An encoder (N, 3, H, W) -> (N, width), randomly initialised, with a `width` attribute.

    `name` is torchvision's (`resnet18` … `wide_resnet50_2`) or `pixels`. `wide_resnet50_2` widens
    only the 3×3 convolutions and keeps 2048 features; it is not SimCLR's "ResNet-50 2×".
    `stem="small"` replaces the 7×7 stride-2 convolution and the max-pool by a 3×3 stride-1
    convolution (SimCLR, appendix B.9), for images up to about 40 pixels. `bn_groups` splits batch
    statistics; parameter names and shapes stay torchvision's in every case.
    """
    if name == "pixels":
        return Pixels()
    norm_layer = partial(SplitBatchNorm2d, groups=bn_groups) if bn_groups > 1 else None
    network = getattr(torchvision.models, name)(weights=None, norm_layer=norm_layer)
    network.width = network.fc.in_features
    network.fc = nn.Identity()
    if stem == "small":
        network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = nn.Identity()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):  # torchvision takes no other kind as an argument
            module.__class__ = SmallMapConv2d
    return network
