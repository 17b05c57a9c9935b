"""Raw pixels, in an encoder's place."""

from torch import Tensor
from torch.nn import functional as F

from sslpipe.networks.encoder import Encoder


class Pixels(Encoder):
    """The raw-pixel baseline: the image averaged down to 16×16, as a vector of 768.

    Shapes: (N, 3, H, W) float -> (N, 768) float.
    """

    width = 16 * 16 * 3

    def forward(self, images: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(images, 16).flatten(1)


def build(name: str, stem: str, bn_groups: int) -> Encoder:
    """Whatever they are asked for, pixels are pixels."""
    return Pixels()
