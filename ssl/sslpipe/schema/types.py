"""Types that several parts of the schema share."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

NAME = re.compile(r"[A-Za-z0-9_]{1,64}")


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"name {value!r}: only letters, digits and _ are allowed, at most 64")
    return value


Name = Annotated[str, AfterValidator(_name)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
