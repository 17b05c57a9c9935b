import sys
import types

import pytest
import torch
import torchvision

from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.pixels import Pixels
from sslpipe.schema.backbones import BACKBONES, Backbone


@pytest.mark.parametrize(("name", "width"), [("resnet18", 512), ("resnet50", 2048)])
def test_backbone_is_torchvisions_without_its_classifier(name, width):
    torch.manual_seed(0)
    ours = build_backbone(name).eval()
    theirs = getattr(torchvision.models, name)(weights=None)
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert sorted(missing) == ["fc.bias", "fc.weight"]
    assert not unexpected
    theirs.fc = torch.nn.Identity()
    images = torch.randn(2, 3, 64, 64)
    assert ours.width == width
    # Convolutions of small maps sum in another order, and fifty layers pass the rounding on.
    torch.testing.assert_close(ours(images), theirs.eval()(images), rtol=1e-3, atol=1e-4)


def test_small_stem_keeps_the_resolution():
    small, usual = build_backbone("resnet18", stem="small"), build_backbone("resnet18")
    seen = {}
    for name, network in (("small", small), ("usual", usual)):
        network.layer1.register_forward_pre_hook(
            lambda _, inputs, name=name: seen.update({name: inputs[0].shape[-1]})
        )
        network.eval()(torch.randn(1, 3, 32, 32))
    assert seen == {"small": 32, "usual": 8}


def test_pixels_average_blocks():
    images = torch.arange(32 * 32, dtype=torch.float32).reshape(1, 1, 32, 32).expand(2, 3, 32, 32)
    features = Pixels()(images)
    assert features.shape == (2, 768)
    assert features[0, 0] == images[0, 0, :2, :2].mean()


def test_a_toy_backbone_takes_a_line_and_a_module(monkeypatch):
    toy = types.ModuleType("toy_network")
    toy.build = lambda name, stem, bn_groups: torch.nn.Sequential(torch.nn.Flatten())
    monkeypatch.setitem(sys.modules, "toy_network", toy)
    monkeypatch.setitem(BACKBONES, "toy", Backbone(12, {"imagenet": 2, "small": 2}, "toy_network"))
    encoder = build_backbone("toy")
    assert encoder.width == 12 and encoder(torch.zeros(5, 3, 2, 2)).shape == (5, 12)


def test_widths_are_those_of_the_networks():
    for name, backbone in BACKBONES.items():
        features = build_backbone(name).eval()(torch.zeros(1, 3, 33, 33))
        assert features.shape == (1, backbone.width), name
