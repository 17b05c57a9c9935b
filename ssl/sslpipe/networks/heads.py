"""Projection and prediction heads: Linear → [BatchNorm] → ReLU → Linear."""

from torch import nn


def mlp(
    width: int, hidden: int, output: int, *, batch_norm: bool, last_bias: bool = True
) -> nn.Sequential:
    """A two-layer head, (N, width) -> (N, output).

    SimCLR: batch norm after the first layer, no bias in the last (Chen et al. 2020, 4.2).
    MoCo: no batch norm (v2, Chen et al. 2020b). BYOL: batch norm (Grill et al. 2020, 3.3).
    """
    layers: list[nn.Module] = [nn.Linear(width, hidden, bias=not batch_norm)]
    if batch_norm:
        layers.append(nn.BatchNorm1d(hidden))
    layers += [nn.ReLU(inplace=True), nn.Linear(hidden, output, bias=last_bias)]
    return nn.Sequential(*layers)
