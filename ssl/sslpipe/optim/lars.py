"""LARS: SGD whose every layer has a learning rate of its own."""

import torch
from torch import Tensor

MOMENTUM = 0.9


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You et al. 2017), as in SimCLR and BYOL.

    For a weight w with gradient g and decay d, the update u = g + d·w is scaled by
    trust·‖w‖/‖u‖ (by 1 where either norm is 0), then goes through momentum 0.9 and the learning
    rate. Groups with `adapt: False` (biases, normalisation) are plain SGD.
    clip: by at most 1/lr·trust·‖w‖/‖u‖ or 1, whichever is less, so that the rate of a layer is never
    above `lr` (as NVIDIA's LARC has it).
    """

    def __init__(
        self, groups: list[dict], lr: float, trust: float = 1e-3, clip: bool = False
    ) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0, "adapt": True})
        self.trust, self.clip = trust, clip

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override] # a closure is never given
        for group in self.param_groups:
            weights = [w for w in group["params"] if w.grad is not None]
            if not weights:
                continue
            updates = [w.grad for w in weights]
            if group["weight_decay"]:
                updates = list(torch._foreach_add(updates, weights, alpha=group["weight_decay"]))
            if group["adapt"]:
                updates = list(
                    torch._foreach_mul(updates, self._ratios(weights, updates, group["lr"]))
                )
            velocities = [self._velocity(w) for w in weights]
            torch._foreach_mul_(velocities, MOMENTUM)
            torch._foreach_add_(velocities, updates)
            torch._foreach_add_(weights, velocities, alpha=-group["lr"])

    def _velocity(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state["velocity"] = torch.zeros_like(weight)
        return state["velocity"]

    def _ratios(self, weights: list[Tensor], updates: list[Tensor], lr: float) -> list[Tensor]:
        """A scalar tensor for each weight; nothing is read by the host."""
        lengths = torch.stack(torch._foreach_norm(weights))
        steps = torch.stack(torch._foreach_norm(updates))
        ratios = self.trust * lengths / steps
        if self.clip:
            ratios = (ratios / lr).clamp(max=1.0)
        return list(torch.where((lengths > 0) & (steps > 0), ratios, 1.0).unbind())
