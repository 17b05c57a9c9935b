"""SimCLR's settings."""

from typing import ClassVar

from sslpipe.schema.methods.base import Optimizer, Projector
from sslpipe.schema.types import Positive


class SimCLR(Optimizer):
    PAPER: ClassVar = "SimCLR (Chen et al. 2020)"
    temperature: Positive = 0.2
    projector: Projector = Projector()
