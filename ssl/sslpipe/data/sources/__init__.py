"""Where images come from: a reader for each kind of source.

A reader is a function (settings, project's root) → iterator of (member name, encoded bytes); names
are as `sslpipe.data.raw` describes, each comes once, and the same source gives them in the same
order. It raises UserError for anything that the user can mend. It has the name of its kind, and lies in
the module named as that of its settings in sslpipe/schema/sources.
"""

import importlib
from collections.abc import Callable, Iterator

from sslpipe.schema.sources.base import Source

Reader = Callable[..., Iterator[tuple[str, bytes]]]


def reader(source: Source) -> Reader:
    return getattr(importlib.import_module(f"sslpipe.{module_of(source)}"), source.kind)


def module_of(source: Source) -> str:
    """Below the package."""
    return f"data.sources.{type(source).__module__.rpartition('.')[2]}"
