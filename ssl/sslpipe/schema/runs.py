"""The schema of runs, and of the methods that they may have."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, create_model

from sslpipe.schema.backbones import BACKBONES
from sslpipe.schema.methods.base import MethodSettings
from sslpipe.schema.methods.byol import BYOL
from sslpipe.schema.methods.moco import MoCo
from sslpipe.schema.methods.random import Random
from sslpipe.schema.methods.simclr import SimCLR
from sslpipe.schema.types import Name, Strict, one_of, read_as

# A new method's settings are entered here; everything else follows.
METHOD_SETTINGS: dict[str, type[MethodSettings]] = {
    "simclr": SimCLR,
    "moco": MoCo,
    "byol": BYOL,
    "random": Random,
}

_fields: dict[str, Any] = {
    name: (settings, settings()) for name, settings in METHOD_SETTINGS.items()
}
Methods = Annotated[Strict, read_as(create_model("Methods", __base__=Strict, **_fields))]


class Run(BaseModel):
    """One trained encoder. Any key of its method or of `pretrain` may be overridden here."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    method: Annotated[str, one_of(METHOD_SETTINGS)]
    backbone: Annotated[str, one_of(BACKBONES)]
    corpus: Name

    @property
    def overrides(self) -> dict[str, Any]:
        return dict(self.model_extra or {})
