"""LARS: SGD whose every layer has a learning rate of its own."""

import torch
from torch import Tensor

TRUST = 1e-3
MOMENTUM = 0.9


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You et al. 2017), as in SimCLR and BYOL.

    For a weight w with gradient g and decay d, the update u = g + d·w is scaled by
    0.001·‖w‖/‖u‖ (by 1 where either norm is 0), then goes through momentum 0.9 and the learning
    rate. Groups with `adapt: False` (biases, normalisation) are plain SGD.
    """

    def __init__(self, groups: list[dict], lr: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0, "adapt": True})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            weights = [w for w in group["params"] if w.grad is not None]
            if not weights:
                continue
            updates = [w.grad for w in weights]
            if group["weight_decay"]:
                updates = list(torch._foreach_add(updates, weights, alpha=group["weight_decay"]))
            if group["adapt"]:
                updates = list(torch._foreach_mul(updates, _trust_ratios(weights, updates)))
            velocities = [self._velocity(w) for w in weights]
            torch._foreach_mul_(velocities, MOMENTUM)
            torch._foreach_add_(velocities, updates)
            torch._foreach_add_(weights, velocities, alpha=-group["lr"])

    def _velocity(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state["velocity"] = torch.zeros_like(weight)
        return state["velocity"]


def _trust_ratios(weights: list[Tensor], updates: list[Tensor]) -> list[Tensor]:
    """A scalar tensor for each weight; nothing is read by the host."""
    lengths = torch.stack(torch._foreach_norm(weights))
    steps = torch.stack(torch._foreach_norm(updates))
    ratios = torch.where((lengths > 0) & (steps > 0), TRUST * lengths / steps, 1.0)
    return list(ratios.unbind())
