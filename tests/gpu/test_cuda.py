"""The same numbers on a GPU as on a CPU, by every path, and no step that waits."""

import os
import socket

import pytest
import torch
from small_runs import METHODS, images, make_run, small_backbone, train

from sslpipe.evaluation.knn import nearest
from sslpipe.evaluation.probe import fit_probes
from sslpipe.methods.method import Step
from sslpipe.networks.backbones import build_backbone
from sslpipe.optim.optimizers import build_optimizer, set_step
from sslpipe.running import memory
from sslpipe.running.energy import EnergyMeter
from sslpipe.running.launch import group
from sslpipe.running.waiting import Waiting
from sslpipe.schema.training import Views
from sslpipe.training import loop
from sslpipe.training.batches import Plan, build_views, views_of_epoch
from sslpipe.training.step import OptimizerStep

CUDA = torch.device("cuda", 0)
SGD = {"optimizer": "sgd", "lr": 0.05, "lr_scaling": "none"}
VIEWS = Views(local=1, local_size=8)
# What is switched on, and how far an epoch's loss may move from the CPU's in fp32, relative to it.
PATHS = {
    "eager fp32": ({"precision": "fp32", "compile": "never"}, 5e-3),
    "compiled fp32": ({"precision": "fp32", "compile": "always"}, 5e-3),
    "CUDA graphs": ({"precision": "fp32", "compile": "graphs"}, 5e-3),
    "compiled bf16": ({"precision": "bf16", "compile": "always"}, 5e-2),
    "fp16": ({"precision": "fp16", "compile": "never"}, 5e-2),
    "deterministic": ({"precision": "fp32", "compile": "never", "deterministic": True}, 5e-3),
}
DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    monkeypatch.setattr(loop, "build_backbone", small_backbone)
    # Small enough that no step of fp16 overflows: a skipped step is another curve.
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(
        torch.amp, "GradScaler", lambda device, enabled: scaler(device, 64.0, enabled=enabled)
    )


def on_gpu(method, folder, **changes):
    run = make_run(method, settings=SGD, views=VIEWS, **({"precision": "fp32"} | changes))
    return train(run, folder, device=CUDA, autocast=DTYPES[run.pretrain.precision])


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "build_backbone", small_backbone)
        return {
            method: train(
                make_run(method, settings=SGD, views=VIEWS), folder / method
            ).state.table()
            for method in METHODS
        }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", PATHS)
def test_a_gpu_trains_as_a_cpu(path, method, on_cpu, tmp_path):
    changes, tolerance = PATHS[path]
    losses = on_gpu(method, tmp_path, **changes).state.table()["loss"]
    assert losses.tolist() == pytest.approx(on_cpu[method]["loss"].tolist(), rel=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_images_in_host_memory_train_the_same(method, tmp_path, monkeypatch):
    resident = on_gpu(method, tmp_path / "a", compile="never")
    monkeypatch.setattr(memory, "placed", lambda run, images, cost, device: images)
    streamed = on_gpu(method, tmp_path / "b", compile="never")
    assert (resident.images_on, streamed.images_on) == ("cuda", "cpu")
    expected = resident.state.table()["loss"].tolist()
    assert streamed.state.table()["loss"].tolist() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("backbone", [small_backbone, build_backbone], ids=["small", "resnet18"])
@pytest.mark.parametrize("method", METHODS)
def test_deterministic_is_byte_for_byte(method, backbone, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "build_backbone", backbone)
    runs = [on_gpu(method, tmp_path / n, deterministic=True, compile="never") for n in "ab"]
    first, second = (run.encoder.state_dict() for run in runs)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lars"])
@pytest.mark.parametrize("method", METHODS)
def test_no_step_waits_for_the_device(method, optimizer):
    """Views, forward, backward, update: CUDA raises at the first call that would wait."""
    settings = {"optimizer": optimizer}
    run = make_run(method, settings=settings, views=VIEWS, clip_norm=1.0, compile="never")
    network = loop.build_method(run, torch.bfloat16).to(CUDA).train()
    optimizer = build_optimizer(network, run.settings)
    step = OptimizerStep(network, optimizer, run.pretrain)
    plan, data = Plan(40, 8, 0), images()
    for where in (data.to(CUDA), data):
        views = views_of_epoch(where, build_views(VIEWS, 16), plan, 0, 0, device=CUDA)
        for number in range(plan.steps):
            torch.cuda.set_sync_debug_mode("error" if number >= 2 else "default")
            try:
                set_step(optimizer, 0.1, 0.1, 0.0)
                step([loop.next_part(views, CUDA, Waiting(CUDA))], Step(number, 9, 0))
            finally:
                torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("compiled", [False, True])
def test_views_are_the_cpus(compiled):
    pixels = torch.randint(0, 256, (32, 48, 48, 3), dtype=torch.uint8)
    indices = torch.arange(32)
    settings = Views(local=1, local_size=24)
    expected = build_views(settings, 32)(pixels, seed=0, epoch=1, indices=indices)
    crop = build_views(settings, 32, compiled=compiled)
    actual = crop(pixels.to(CUDA), seed=0, epoch=1, indices=indices.to(CUDA))
    for group_, other in zip(actual, expected, strict=True):
        for view, wanted in zip(group_, other, strict=True):
            torch.testing.assert_close(view.cpu(), wanted, rtol=0, atol=1 / 255)


def test_nccl_with_one_rank_is_one_process(on_cpu, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= variables | {"RANK": "0", "WORLD_SIZE": "1"}
    try:
        with group(CUDA):
            for method in METHODS:
                changes = {"precision": "fp32", "compile": "never"}
                losses = on_gpu(method, tmp_path / method, **changes).state.table()["loss"]
                expected = on_cpu[method]["loss"].tolist()
                assert losses.tolist() == pytest.approx(expected, rel=5e-3)
    finally:
        for name in (*variables, "RANK", "WORLD_SIZE"):
            del os.environ[name]


def test_the_meters_tell_something(tmp_path):
    trained = on_gpu("simclr", tmp_path, precision="bf16")
    assert 0 < trained.state.peak_memory < 2**34
    assert trained.state.warm_up > 0
    if EnergyMeter(CUDA).used() is not None:
        assert trained.state.energy > 0


def test_neighbours_and_probes_are_the_cpus():
    draw = torch.Generator().manual_seed(0)
    bank, queries = (torch.randn(n, 64, generator=draw) for n in (2000, 300))
    labels = torch.randint(0, 5, (2000,), generator=draw)
    expected = nearest(bank, queries, 20, bank_labels=labels)
    actual = nearest(bank.to(CUDA), queries.to(CUDA), 20, bank_labels=labels.to(CUDA))
    assert torch.equal(actual[1].cpu(), expected[1])
    torch.testing.assert_close(actual[0].cpu(), expected[0])
    options = {"epochs": 2, "batch_size": 64, "optimizer": "adam", "seed": 0}
    cells = [(1e-3, 0.0), (1e-2, 1e-3)]
    wanted = fit_probes(bank, labels, 5, cells, **options)
    found = fit_probes(bank.to(CUDA), labels.to(CUDA), 5, cells, **options)
    torch.testing.assert_close(found.weight.cpu(), wanted.weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_encoders_in_channels_last_are_the_cpus(name):
    torch.manual_seed(0)
    encoder = build_backbone(name).eval()
    pixels = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        expected = encoder(pixels)
        encoder = encoder.to(CUDA, memory_format=torch.channels_last)
        actual = encoder(pixels.to(CUDA, memory_format=torch.channels_last))
    torch.testing.assert_close(actual.cpu(), expected, rtol=2e-2, atol=2e-2)
