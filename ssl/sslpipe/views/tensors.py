"""Small constant tensors."""

import torch
from torch import Tensor


def constants(values: tuple[float, ...], device: torch.device) -> Tensor:
    """`values` as float32 (len(values),) on `device`.

    Filled there: `torch.tensor(values, device=...)` copies from the host and waits for a GPU.
    """
    return torch.cat([torch.full((1,), value, device=device) for value in values])
