"""The schema of runs, and of the methods that they may have."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, create_model

from sslpipe.schema.methods.base import MethodSettings
from sslpipe.schema.methods.byol import BYOL
from sslpipe.schema.methods.moco import MoCo
from sslpipe.schema.methods.random import Random
from sslpipe.schema.methods.simclr import SimCLR
from sslpipe.schema.types import Name, Strict

# A new method's settings are entered here; everything else follows.
METHOD_SETTINGS: dict[str, type[MethodSettings]] = {
    "simclr": SimCLR,
    "moco": MoCo,
    "byol": BYOL,
    "random": Random,
}

Methods = create_model(
    "Methods",
    __base__=Strict,
    **{name: (settings, settings()) for name, settings in METHOD_SETTINGS.items()},
)

Backbone = Literal["resnet18", "resnet34", "resnet50", "resnet101", "wide_resnet50_2", "pixels"]


class Run(BaseModel):
    """One trained encoder. Any key of its method or of `pretrain` may be overridden here."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    method: Literal[*METHOD_SETTINGS]
    backbone: Backbone
    corpus: Name

    @property
    def overrides(self) -> dict[str, Any]:
        return dict(self.model_extra or {})
