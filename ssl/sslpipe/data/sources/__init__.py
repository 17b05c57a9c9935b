"""Where images come from. To add a kind of origin: its file here, its settings in schema.py,
this dict.

A source is a function (settings, project's root) → iterator of (member name, encoded bytes), in
ascending order of the names that `sslpipe.data.raw` describes. It raises UserError for anything
that the user can mend.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sslpipe.data.sources import bundled, folder

Source = Callable[[Any, Path], Iterator[tuple[str, bytes]]]

SOURCES: dict[str, Source] = {
    "photo_patches": bundled.photo_patches,
    "digits": bundled.digits,
    "elpv": bundled.elpv,
    "folder": folder.images,
}
