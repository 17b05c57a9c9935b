import pytest
import torch
import torchvision

from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.pixels import Pixels


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
