"""Image encoders, each built by the module that schema/backbones.py names."""

import importlib

from torch import nn

from sslpipe.schema.backbones import BACKBONES


def build_backbone(name: str, *, stem: str = "imagenet", bn_groups: int = 1) -> nn.Module:
    """An encoder (N, 3, H, W) -> (N, width), randomly initialised, with a `width` attribute.

    stem: of a run's settings. bn_groups: of a batch, whose statistics are taken apart.
    """
    backbone = BACKBONES[name]
    network = importlib.import_module(backbone.network).build(name, stem, bn_groups)
    network.width = backbone.width
    return network
