"""What a step costs, counted without running it."""

import pytest
import torch
from small_runs import METHODS, make_run, small_backbone
from torch import nn

from sslpipe.errors import UserError
from sslpipe.methods import method_class
from sslpipe.methods.method import Step
from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.small_map_conv import SmallMapConv2d
from sslpipe.running import cost, memory
from sslpipe.running.cost import Cost, cost_of, peak_flops
from sslpipe.schema.methods.base import Projector
from sslpipe.training import loop

CPU = torch.device("cpu")


def test_flops_are_those_of_the_layers_by_hand(monkeypatch):
    """A convolution costs 2·k²·c_in·c_out an output pixel; backward twice that, less the gradient
    by the pixels, which nobody needs."""
    monkeypatch.setattr(loop, "build_backbone", small_backbone)
    run = make_run("simclr")
    method = loop.build_method(run, None)
    images = 8
    convolution = 2 * 9 * 3 * 8 * (7 * 7)  # 16 pixels, 3×3 without padding, stride 2: 7×7
    head = 2 * (8 * 16 + 16 * 8)
    views = 2 * images
    logits = 2 * (2 * images) * (2 * images) * 8
    expected = views * (2 * convolution + 3 * head) + 3 * logits
    assert cost_of(method, "sgd", images, [16, 16], []).flops == expected


def test_flops_of_a_resnet50_are_the_published_ones():
    """4.09 GMAC for one forward pass of 224 px (torchvision's table; its classifier is 0.002)."""
    run = make_run("simclr", settings={"projector": Projector(hidden=8, output=8)})
    encoder = build_backbone("resnet50")
    method = method_class("simclr")(encoder, run.settings, None)
    flops = cost_of(method, "sgd", 2, [224, 224], []).flops
    stem = 2 * 118e6  # whose input needs no gradient
    assert flops / 4 == pytest.approx(3 * 2 * 4.087e9 - stem, rel=0.01)


def test_counting_leaves_the_method_alone(monkeypatch):
    monkeypatch.setattr(loop, "build_backbone", small_backbone)
    for name in METHODS:
        method = loop.build_method(make_run(name), None)
        before = {k: v.clone() for k, v in method.state_dict().items()}
        random = torch.get_rng_state()
        cost_of(method, "adam", 8, [16, 16], [8])
        assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())
        assert torch.equal(random, torch.get_rng_state())
        assert all(p.grad is None for p in method.parameters())
        assert not getattr(method, "new_keys", None)


@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_activations_are_what_autograd_keeps(autocast, monkeypatch):
    """Against a real forward pass, whose kept tensors are collected in the same way.

    Of plain convolutions, as on a GPU: matrices that a CPU makes for small maps are not counted.
    """
    monkeypatch.setattr(SmallMapConv2d, "largest_map", 0)
    run = make_run("simclr")
    method = method_class("simclr")(build_backbone("resnet18"), run.settings, autocast).train()
    counted = cost_of(method, "sgd", 4, [32, 32], [])
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    draw = torch.randn(2, 4, 3, 32, 32).unbind()
    views = [view.contiguous(memory_format=torch.channels_last) for view in draw]
    method.to(memory_format=torch.channels_last)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        output = method.loss(views, [], Step(0, 1, 0))
    own = {p.untyped_storage().data_ptr() for p in method.parameters()}
    expected = sum(t.untyped_storage().nbytes() for p, t in kept.items() if p not in own)
    assert output.loss.requires_grad
    assert counted.activations == pytest.approx(expected, rel=0.05)


def test_weights_are_parameters_gradients_and_moments():
    method = nn.Module()
    run = make_run("byol")
    method = method_class("byol")(build_backbone("resnet18"), run.settings, None)
    trained = sum(p.numel() for p in method.parameters() if p.requires_grad)
    everything = sum(t.numel() * t.element_size() for t in method.state_dict().values())
    for optimizer, moments in (("adam", 2), ("sgd", 1), ("lars", 1)):
        assert cost_of(method, optimizer, 4, [32, 32], []).weights == everything + trained * 4 * (
            1 + moments
        )


def test_peak_flops_is_a_rate():
    peak = peak_flops(CPU, None)
    assert 1e8 < peak < 1e16


def test_peak_flops_is_that_of_the_faster_of_product_and_convolution(monkeypatch):
    calls = []
    seconds = iter([2.0, 0.5])
    monkeypatch.setattr(
        cost, "_shortest", lambda work, rounds, device: calls.append(work()) or next(seconds)
    )
    peak = peak_flops(CPU, None)
    product, convolved = calls
    assert product.shape == (1024, 1024)
    images, channels, rows, columns = convolved.shape
    flops = 2 * images * channels * rows * columns * channels * 9
    assert peak == max(2 * 1024**3 / 2.0, flops / 0.5)


def test_a_batch_that_cannot_fit_is_refused_before_it_is_tried(monkeypatch):
    run = make_run("simclr", batch_size=4096)
    needs = Cost(flops=1, weights=2 * memory.GIB, activations=90 * memory.GIB)
    monkeypatch.setattr(memory, "available", lambda device: 80 * memory.GIB)
    with pytest.raises(UserError) as caught:
        memory.refuse_too_large(run, needs, CPU)
    assert str(caught.value) == (
        "runs.x: batch_size 4096 at 16 px needs more than 92.0 GiB (90.0 for resnet18's activations "
        "of 4096 images at a time) and 80.0 GiB are free; set accumulate: 2 (or more) or a "
        "smaller batch_size"
    )
    monkeypatch.setattr(memory, "available", lambda device: 10 * memory.GIB)
    with pytest.raises(UserError, match=r"set accumulate: 16 \(or more\) or a smaller batch_size"):
        memory.refuse_too_large(run, needs, CPU)  # 2 + 90 / 16 GiB; 8 parts would need 13.25
    monkeypatch.setattr(memory, "available", lambda device: memory.GIB)
    with pytest.raises(UserError, match=r"set a smaller batch_size"):
        memory.refuse_too_large(run, needs, CPU)
    monkeypatch.setattr(memory, "available", lambda device: 80 * memory.GIB)
    memory.refuse_too_large(run, Cost(1, 0, 79 * memory.GIB), CPU)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_running_out_of_memory_is_one_line(error):
    needs = Cost(flops=1, weights=0, activations=memory.GIB)
    with (
        pytest.raises(UserError, match="accumulate: 2") as caught,
        memory.out_of_memory(make_run("byol"), needs),
    ):
        raise error
    assert "\n" not in str(caught.value)
    with pytest.raises(RuntimeError, match="a bug"), memory.out_of_memory(make_run("byol"), needs):
        raise RuntimeError("a bug")


def test_a_corpus_stays_on_the_cpu_where_it_does_not_fit(monkeypatch, capsys):
    """The decision only; the copy itself needs a GPU."""
    run, images = make_run("byol"), torch.zeros(10, 4, 4, 3, dtype=torch.uint8)
    monkeypatch.setattr(memory, "available", lambda device: memory.MARGIN + 100)
    assert memory.placed(run, images, Cost(1, 0, 0), torch.device("cuda")) is images
    said = capsys.readouterr().err
    assert said == (
        "x: 0.00 GiB of images, 2.0 GiB free on the GPU: kept in host memory and copied batch by batch\n"
    )
    assert memory.placed(run, images, Cost(1, 0, 0), CPU) is images


def test_every_optimiser_has_its_moments_counted():
    assert cost.MOMENTS.keys() == {"adam", "adamw", "sgd", "lars"}
