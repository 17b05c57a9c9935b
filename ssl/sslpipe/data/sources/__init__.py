"""Where images come from. To add a kind of origin: its file here, its settings in
schema/sources.py, this dict.

A source is a function (settings, project's root) → iterator of (member name, encoded bytes); names
are as `sslpipe.data.raw` describes, each comes once, and the same source gives them in the same
order. It raises UserError for anything that the user can mend.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sslpipe.data.sources import arrays, bundled, folder, mini_imagenet, published, web

Source = Callable[[Any, Path], Iterator[tuple[str, bytes]]]

SOURCES: dict[str, Source] = {
    "photo_patches": bundled.photo_patches,
    "digits": bundled.digits,
    "elpv": bundled.elpv,
    "folder": folder.images,
    "cub200_2011": published.cub200_2011,
    "mini_imagenet": mini_imagenet.mini_imagenet,
    "sun397": published.sun397,
    "inaturalist": published.inaturalist,
    "cc12m": web.cc12m,
    "cifar10": arrays.cifar10,
    "stl10": arrays.stl10,
    "imagenette": published.imagenette,
    "fashion_mnist": arrays.fashion_mnist,
}
