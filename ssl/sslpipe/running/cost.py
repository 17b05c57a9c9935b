"""What a training step costs, counted before it is run, and what the device could do at best."""

import copy
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from sslpipe.methods.method import Labels, Method, Step
from sslpipe.networks.ranks import alone
from sslpipe.networks.small_map_conv import SmallMapConv2d
from sslpipe.networks.split_batchnorm import SplitBatchNorm2d

# Numbers kept for each trained weight beside the weight itself and its gradient.
MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1, "lars": 1}


@dataclass(frozen=True)
class Cost:
    """flops: floating-point operations of one forward and backward pass of a part of a batch
    (products and convolutions; a multiplication and an addition are two). weights: bytes of
    parameters, buffers, gradients and the optimiser's state. activations: bytes kept for the
    backward pass of a part. The last two together are less than what a training needs at its peak."""

    flops: int
    weights: int
    activations: int

    @property
    def memory(self) -> int:
        return self.weights + self.activations


def cost_of(
    method: Method, optimizer: str, images: int, global_sides: list[int], local_sides: list[int]
) -> Cost:
    """Count one pass of `method` for a part of `images` images, without computing anything.

    sides: of the views in pixels.
    """
    method = copy.deepcopy(method).cpu()
    for module in method.modules():
        if isinstance(module, SplitBatchNorm2d):
            module.groups = 1  # costs the same, and is counted in a fraction of the time
        if isinstance(module, SmallMapConv2d):
            module.largest_map = 0  # a convolution counts the same on every device
    saved: dict[int, Tensor] = {}  # by storage; the tensor keeps it alive, and so its number unique

    def keep(tensor: Tensor) -> Tensor:
        saved.setdefault(_storage(tensor), tensor)
        return tensor

    # Inside this mode tensors have a shape and no content.
    with (
        FakeTensorMode(allow_non_fake_inputs=True) as mode,
        alone(),
        FlopCounterMode(display=False) as counter,
    ):
        state = {
            name: mode.from_tensor(tensor.detach()).requires_grad_(tensor.requires_grad)
            for name, tensor in itertools.chain(method.named_parameters(), method.named_buffers())
        }
        views = [
            [
                torch.empty(images, 3, side, side).to(memory_format=torch.channels_last)
                for side in sides
            ]
            for sides in (global_sides, local_sides)
        ]
        nothing = torch.zeros(images, dtype=torch.int64)
        labels = [Labels(nothing, nothing)] if method.LABELLED else []
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = functional_call(method, state, (*views, Step(0, 1, 0), *labels))
        output.loss.backward()
    for tensor in state.values():
        saved.pop(_storage(tensor), None)
    trained = _bytes(p for p in method.parameters() if p.requires_grad)
    return Cost(
        flops=counter.get_total_flops(),
        weights=_bytes(state.values()) + trained * (1 + MOMENTS[optimizer]),
        activations=sum(tensor.untyped_storage().nbytes() for tensor in saved.values()),
    )


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def peak_flops(device: torch.device, dtype: torch.dtype | None) -> float:
    """Floating-point operations a second that `device` reaches in `dtype` (None: float32, on a GPU
    TF32, which is what convolutions take): the yardstick of MFU, measured rather than taken from a
    data sheet. Of a large matrix product; on a CPU of a convolution if that is faster, for its two
    libraries are not equally good on every processor."""
    side, rounds = (8192, 10) if device.type == "cuda" else (1024, 5)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    before = torch.get_float32_matmul_precision()
    tf32 = device.type == "cuda" and torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    peak = 2 * side**3 / _shortest(lambda: a @ b, rounds, device)
    torch.set_float32_matmul_precision(before)
    if device.type == "cpu":
        images, channels, size = 32, 128, 16
        x = torch.randn(images, channels, size + 2, size + 2, dtype=dtype)
        weight = torch.randn(channels, channels, 3, 3, dtype=dtype)
        x, weight = (t.to(memory_format=torch.channels_last) for t in (x, weight))
        flops = 2 * images * (channels * 3 * size) ** 2
        peak = max(peak, flops / _shortest(lambda: F.conv2d(x, weight), rounds, device))
    return peak


def _shortest(work: Callable[[], object], rounds: int, device: torch.device) -> float:
    """Seconds of the quickest of some calls."""
    best = float("inf")
    for _ in range(rounds):
        wait_for(device)
        start = time.perf_counter()
        work()
        wait_for(device)
        best = min(best, time.perf_counter() - start)
    return best


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
