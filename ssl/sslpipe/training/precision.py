"""Which number format the forward and backward passes run in."""

import torch


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """bfloat16, or None for fp32. `auto` decides by the device's instructions, never by a timing,
    so that the same machine always gives the same numbers."""
    if precision == "bf16":
        return torch.bfloat16
    if precision == "auto" and has_bf16(device):
        return torch.bfloat16
    return None


def has_bf16(device: torch.device) -> bool:
    """Native bf16 arithmetic: Ampere or newer, or a CPU with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # torch.cpu.get_capabilities() exists only in later releases.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def device_of(devices: list[str]) -> torch.device:
    """The first of the leased devices, or the CPU."""
    return torch.device("cuda" if devices and torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"
