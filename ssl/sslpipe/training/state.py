"""Where a training stands: everything a checkpoint holds, and the history's rows."""

from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from sslpipe.methods.method import Method
from sslpipe.training.monitor import effective_rank, feature_std


@dataclass
class Clock:
    """Seconds of training proper; online evaluation and checkpoints are not counted."""

    train: float = 0.0
    waiting_for_views: float = 0.0
    images: int = 0

    def add(self, train: float, waiting_for_views: float, images: int) -> None:
        self.train += train
        self.waiting_for_views += waiting_for_views
        self.images += images

    @property
    def images_per_s(self) -> float:
        return self.images / self.train

    @property
    def data_wait(self) -> float:
        """Share of the time that went into waiting for views."""
        return self.waiting_for_views / self.train


@dataclass
class TrainingState:
    """step: optimiser steps done. loss_sum, epoch_clock: of the epoch under way.

    losses: of the last steps, still on the device and not yet in loss_sum.
    """

    step: int = 0
    clock: Clock = field(default_factory=Clock)
    epoch_clock: Clock = field(default_factory=Clock)
    loss_sum: float = 0.0
    losses: list[Tensor] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    resumed: int = 0
    resumed_this_epoch: bool = False

    def read_losses(self) -> float:
        """Add the pending losses to loss_sum, which waits for the device, and return their sum."""
        total = torch.stack(self.losses).double().sum().item() if self.losses else 0.0
        self.losses = []
        self.loss_sum += total
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

    def to_checkpoint(self, method: Method, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Tensors and plain values. All pending losses must have been read."""
        plain = asdict(self)
        del plain["losses"]
        return plain | {"method": method.state_dict(), "optimizer": optimizer.state_dict()}

    @staticmethod
    def from_checkpoint(
        saved: dict[str, Any], method: Method, optimizer: torch.optim.Optimizer
    ) -> "TrainingState":
        """Load method and optimiser in place and return where they stand, marked as resumed."""
        saved = dict(saved)
        method.load_state_dict(saved.pop("method"))
        optimizer.load_state_dict(saved.pop("optimizer"))
        clocks = {name: Clock(**saved.pop(name)) for name in ("clock", "epoch_clock")}
        state = TrainingState(**saved, **clocks)
        state.resumed += 1
        state.resumed_this_epoch = True
        return state
