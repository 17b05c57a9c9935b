"""Types that several parts of the schema share."""

import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetPydanticSchema
from pydantic_core import core_schema

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


def one_of(names: Iterable[str]) -> GetPydanticSchema:
    """`Annotated[str, one_of(names)]`: a Literal of names that are computed."""
    return GetPydanticSchema(lambda _type, _handler: core_schema.literal_schema(list(names)))


def read_as(wanted: Any) -> GetPydanticSchema:
    """`Annotated[Base, read_as(wanted)]`: in code a Base, read as a type that is computed."""
    return GetPydanticSchema(lambda _type, handler: handler.generate_schema(wanted))


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
