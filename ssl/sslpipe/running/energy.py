"""The energy a GPU has used, where its driver tells."""

import ctypes

import torch


class EnergyMeter:
    """Joules of the whole device since the last reading; None where there is no such counter."""

    def __init__(self, device: torch.device) -> None:
        self._read = _counter(device)
        self._last = self._read() if self._read else None

    def used(self) -> float | None:
        if self._read is None:
            return None
        before, self._last = self._last, self._read()
        return self._last - before


def _counter(device: torch.device):
    """A function that returns NVML's total in joules, or None (no GPU, no driver, before Volta)."""
    if device.type != "cuda":
        return None
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}".encode()
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()

    def read() -> float:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules))
        return millijoules.value / 1000

    failed = (
        nvml.nvmlInit_v2()
        or nvml.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(handle))
        or nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules))
    )
    return None if failed else read
