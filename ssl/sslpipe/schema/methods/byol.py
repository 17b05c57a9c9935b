"""BYOL's settings."""

from typing import ClassVar, Literal

from sslpipe.schema.methods.base import EmaSchedule, Optimizer, Projector, Share
from sslpipe.schema.types import Count, NonNegative, Positive


class BYOL(Optimizer):
    PAPER: ClassVar = "BYOL (Grill et al. 2020)"
    optimizer: Literal["adam", "adamw", "sgd", "lars"] = "sgd"
    lr: Positive = 0.06
    lr_scaling: Literal["none", "linear", "sqrt"] = "linear"
    weight_decay: NonNegative = 5e-4
    projector: Projector = Projector(hidden=4096, output=256)
    predictor_hidden: Count = 4096
    ema: Share = 0.99
    ema_schedule: EmaSchedule = "cosine"
