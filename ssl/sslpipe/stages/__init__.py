"""The pipeline's steps, one module each: `run(params, layout, name)` reads files, writes files."""

from collections.abc import Mapping
from typing import TypeVar

from sslpipe.errors import UserError

T = TypeVar("T")


def find(things: Mapping[str, T], name: str, what: str) -> T:
    """`things[name]`. Raises UserError listing the names there are."""
    if name not in things:
        raise UserError(f"no {what} named {name!r} in params.yaml; there are: {', '.join(things)}")
    return things[name]
