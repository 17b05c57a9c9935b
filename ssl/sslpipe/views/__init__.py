"""Random views of images: drawn by key (`policy`), rendered by one of three backends."""

from sslpipe.views.multicrop import RENDERERS, MultiCrop
from sslpipe.views.normalize import as_input, normalize
from sslpipe.views.policy import ViewParameters, ViewPolicy, draw

__all__ = [
    "RENDERERS",
    "MultiCrop",
    "ViewParameters",
    "ViewPolicy",
    "as_input",
    "draw",
    "normalize",
]
