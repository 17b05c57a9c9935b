"""The backbones that a run may have. A new one: its line here, and its network in sslpipe/networks."""

from collections.abc import Mapping
from typing import NamedTuple

# Below this the last stage of a residual network convolves a single pixel, from which torch 2.14's
# bf16 kernels for CPUs compute infinite gradients.
RESIDUAL = {"imagenet": 17, "small": 8}
PIXELS = "pixels"
"""The baseline without an encoder."""


class Backbone(NamedTuple):
    """width: numbers in a feature. smallest: side of an image in pixels, by the run's `stem`.
    network: the module with `build(name, stem, bn_groups)`. weights: False for what can be neither
    trained, fine-tuned nor exported. architecture: what torchvision and timm call it, None if they do
    not have it."""

    width: int
    smallest: Mapping[str, int]
    network: str = "sslpipe.networks.residual"
    weights: bool = True
    architecture: str | None = None


BACKBONES = {
    "resnet18": Backbone(512, RESIDUAL, architecture="resnet18"),
    "resnet34": Backbone(512, RESIDUAL, architecture="resnet34"),
    "resnet50": Backbone(2048, RESIDUAL, architecture="resnet50"),
    "resnet101": Backbone(2048, RESIDUAL, architecture="resnet101"),
    "wide_resnet50_2": Backbone(2048, RESIDUAL, architecture="wide_resnet50_2"),
    PIXELS: Backbone(768, {"imagenet": 1, "small": 1}, "sslpipe.networks.pixels", weights=False),
}
