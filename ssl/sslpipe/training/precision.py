"""Which number format the forward and backward passes run in, and how reproducible they are."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sslpipe.errors import UserError
from sslpipe.io.progress import say

DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The half-precision format of autocast, or None for fp32. `auto` decides by the device's
    instructions, never by a timing, so that the same machine always gives the same numbers."""
    if precision != "auto":
        return DTYPES[precision]
    if has_bf16(device):
        return torch.bfloat16
    return torch.float16 if has_fp16_tensor_cores(device) else None


def has_bf16(device: torch.device) -> bool:
    """Native bf16 arithmetic: Ampere or newer, or a CPU with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # torch.cpu.get_capabilities() exists only in later releases.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def has_fp16_tensor_cores(device: torch.device) -> bool:
    """Volta or newer."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0)


def slow(device: torch.device, autocast: torch.dtype | None) -> Iterator[str]:
    """A warning about a format that a CPU computes in by way of another."""
    if device.type != "cpu" or autocast is None:
        return
    # Measured, ResNet-18 of 32 px on a CPU with AVX-512: fp16 a tenth of fp32's images/s; bf16 without
    # its instructions 0.4 of them, with AVX2 alone a tenth; with its instructions twice as many.
    if autocast is torch.float16 or not has_bf16(device):
        yield (
            f"warning: precision {NAMES[autocast]} is several times slower than fp32 on a CPU without "
            "instructions for it: set pretrain.precision, or the run's, to auto"
        )


@contextmanager
def arithmetic(*, deterministic: bool) -> Iterator[None]:
    """Choose, for the time of a training, between the fastest kernels and those that always give the
    same bytes. An operation that has no such kernel raises RuntimeError."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if deterministic:
        # cuBLAS reads it when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def device_of(devices: list[str], number: int = 0) -> torch.device:
    """One of the leased devices, or the CPU. Raises UserError where there are fewer."""
    if devices and torch.cuda.is_available():
        if number >= torch.cuda.device_count():
            raise UserError(
                f"process {number} has no GPU of its own: {torch.cuda.device_count()} visible; "
                "start fewer processes"
            )
        return torch.device("cuda", number)
    if devices:
        say(
            f"warning: PyTorch can use none of the GPUs {', '.join(devices)}; the CPU does the work"
        )
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"
