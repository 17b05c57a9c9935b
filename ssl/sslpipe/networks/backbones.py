"""Image encoders, each built by the module that schema/backbones.py names."""

import importlib

from sslpipe.networks.encoder import Encoder
from sslpipe.schema.backbones import BACKBONES


def build_backbone(name: str, *, stem: str = "imagenet", bn_groups: int = 1) -> Encoder:
    """An encoder (N, 3, H, W) -> (N, width), randomly initialised.

    stem: of a run's settings. bn_groups: of a batch, whose statistics are taken apart.
    """
    backbone = BACKBONES[name]
    network: Encoder = importlib.import_module(backbone.network).build(name, stem, bn_groups)
    network.width = backbone.width
    return network
