"""Where a training stands: everything a checkpoint holds, and the history's rows."""

from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.amp import GradScaler

from sslpipe.evaluation.rank import effective_rank
from sslpipe.methods.method import Method
from sslpipe.networks.ranks import reduced
from sslpipe.training.monitor import feature_std


@dataclass
class Clock:
    """Seconds of training proper: not of warming up (compiling), online evaluation or checkpoints."""

    train: float = 0.0
    waiting_for_views: float = 0.0
    images: int = 0

    def add(self, train: float, waiting_for_views: float, images: int) -> None:
        self.train += train
        self.waiting_for_views += waiting_for_views
        self.images += images

    @property
    def images_per_s(self) -> float | None:
        return self.images / self.train if self.images else None

    @property
    def data_wait(self) -> float | None:
        """Share of the time that went into waiting for views."""
        return self.waiting_for_views / self.train if self.images else None


@dataclass
class TrainingState:
    """step: optimiser steps done. loss_sum, epoch_clock: of the epoch under way.

    losses: of the last steps on this rank, still on the device and not yet in loss_sum.
    warm_up: seconds of steps that the clocks leave out. peak_memory: bytes, of the rank that took
    most. energy: joules of all ranks' devices, None where one does not tell.
    """

    step: int = 0
    clock: Clock = field(default_factory=Clock)
    epoch_clock: Clock = field(default_factory=Clock)
    warm_up: float = 0.0
    peak_memory: int = 0
    energy: float | None = 0.0
    loss_sum: float = 0.0
    losses: list[Tensor] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    resumed: int = 0
    resumed_this_epoch: bool = False

    def read_losses(self) -> float:
        """Add the pending losses, averaged over ranks, to loss_sum and return their sum. Waits for
        the device; every rank must call it at the same step."""
        if not self.losses:
            return 0.0
        device = self.losses[0].device
        total = torch.stack(self.losses).double().sum().item()
        self.losses = []
        total, ranks = reduced([total, 1.0], device, largest=False)
        self.loss_sum += total / ranks
        return total

    def end_epoch(self, steps: int, lr: float, embedding: Tensor) -> dict[str, Any]:
        """The history's row of the epoch that ends here, and a fresh start for the next."""
        row = {
            "epoch": self.step // steps,
            "step": self.step,
            "loss": self.loss_sum / steps,
            "lr": lr,
            "images_per_s": self.epoch_clock.images_per_s,
            "data_wait": self.epoch_clock.data_wait,
            "z_std": feature_std(embedding),
            "z_rank": effective_rank(embedding),
            "resumed": int(self.resumed_this_epoch),
        }
        self.loss_sum, self.epoch_clock, self.resumed_this_epoch = 0.0, Clock(), False
        self.history.append(row)
        return row

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.history)

    def to_checkpoint(
        self, method: Method, optimizer: torch.optim.Optimizer, scaler: GradScaler
    ) -> dict[str, Any]:
        """Tensors and plain values. All pending losses must have been read."""
        plain = asdict(self)
        del plain["losses"]
        return plain | {
            "method": method.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict(),
        }

    @staticmethod
    def from_checkpoint(
        saved: dict[str, Any],
        method: Method,
        optimizer: torch.optim.Optimizer,
        scaler: GradScaler,
    ) -> "TrainingState":
        """Load method, optimiser and scaler in place; where they stand, marked as resumed."""
        saved = dict(saved)
        method.load_state_dict(saved.pop("method"))
        optimizer.load_state_dict(saved.pop("optimizer"))
        # Empty where the last device needed no scaling: another may do with another format.
        if scaling := saved.pop("scaler"):
            scaler.load_state_dict(scaling)
        clock, epoch_clock = (Clock(**saved.pop(name)) for name in ("clock", "epoch_clock"))
        state = TrainingState(**saved, clock=clock, epoch_clock=epoch_clock)
        state.resumed += 1
        state.resumed_this_epoch = True
        return state
