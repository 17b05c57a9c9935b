"""Settings that agree in all that a claim does not ask about."""

from __future__ import annotations

from collections.abc import Sequence

from sslpipe.reporting.claims.evidence import Evidence
from sslpipe.reporting.settings import Setting
from sslpipe.schema.runs import METHOD_SETTINGS

METHODS = {"simclr": "SimCLR", "moco": "MoCo", "byol": "BYOL"}
NAMED = "SimCLR, MoCo and BYOL"

# What each method may choose for itself; the rest is the budget: images, views, network, epochs.
OF_METHODS = {key for settings in METHOD_SETTINGS.values() for key in settings.model_fields}
TUNING = {"accumulate", "clip_norm", "precision", "sync_bn", "warmup_epochs"}

# What changes what the loss measures, so that its values do not compare.
OF_THE_LOSS = {
    "method", "temperature", "queue", "symmetric", "batch_size", "accumulate", "image_size", "views",
    "corpus",
}  # fmt: skip


def same_budget(evidence: Evidence, chosen: Sequence[Setting]) -> list[list[Setting]]:
    """Groups equal but for the method, its settings, and how its training is tuned."""
    free = {"method"} | OF_METHODS | TUNING
    return evidence.equal_but_for(chosen, lambda key: _root(key) in free)


def same_loss(evidence: Evidence, chosen: Sequence[Setting]) -> list[list[Setting]]:
    """Groups whose losses measure the same."""
    return evidence.equal_but_for(chosen, lambda key: _root(key) not in OF_THE_LOSS)


def _root(key: str) -> str:
    return key.partition(".")[0]
