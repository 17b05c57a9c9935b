"""Formats that a CPU has no instructions for."""

import pytest
import torch

from sslpipe.training import precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("has_bf16", [True, False])
def test_what_is_slow_on_a_cpu_is_said(has_bf16, monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: has_bf16)
    (line,) = precision.slow(CPU, torch.float16)
    assert line.startswith("warning: precision fp16 is several times slower than fp32 on a CPU")
    assert len(list(precision.slow(CPU, torch.bfloat16))) == (not has_bf16)
    assert not list(precision.slow(CPU, None))
    assert not list(precision.slow(torch.device("cuda"), torch.float16))
    assert not list(precision.slow(CPU, precision.autocast_dtype("auto", CPU)))
