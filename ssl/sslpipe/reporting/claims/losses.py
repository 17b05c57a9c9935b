"""A run's training loss over epochs. Losses of different methods have different scales, so each is
measured against its own range, highest to lowest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sslpipe.reporting.claims.curves import epochs_of
from sslpipe.reporting.claims.evidence import Evidence

FIGURE = "loss"


@dataclass(frozen=True, eq=False)
class Loss:
    """A run's loss: epochs (n,) ascending, values (n,), each the mean over an epoch."""

    epochs: np.ndarray
    values: np.ndarray

    @property
    def range(self) -> float:
        return float(np.ptp(self.values))

    def at(self, epoch: float) -> float:
        return float(np.interp(epoch, self.epochs, self.values))

    def fallen_by(self, epoch: float) -> float:
        """Share of the whole fall, from the first epoch to the lowest, that lies before `epoch`."""
        whole = self.values[0] - self.values.min()
        return float((self.values[0] - self.at(epoch)) / whole) if whole > 0 else 0.0

    def falls_after(self, epoch: float) -> float:
        """The fall from `epoch` to the end as a share of the range; negative for a rise."""
        return (self.at(epoch) - float(self.values[-1])) / self.range

    def steps_after(self, epoch: float) -> np.ndarray:
        """Changes from one epoch to the next that end after `epoch`."""
        return np.diff(self.values)[self.epochs[1:] > epoch]

    def unrest(self, epoch: float) -> float:
        """How much it climbs a step after `epoch`, as a share of its range: upward steps added up.

        0 for a loss that falls or stays, however steeply; the same whatever it is multiplied by.
        """
        steps = self.steps_after(epoch)
        return float(np.maximum(steps, 0).sum()) / len(steps) / self.range


def loss_of(evidence: Evidence, run: str, min_epochs: int) -> Loss | None:
    """None for a run that is shorter, or whose loss is not finite or never changes."""
    if epochs_of(evidence, run) < min_epochs:
        return None
    history = evidence.history[run]
    loss = history.get("loss", np.array([np.nan]))
    if not np.isfinite(loss).all() or np.ptp(loss) == 0:
        return None
    return Loss(history["epoch"], loss)
