"""Which images take part in what."""

import numpy as np

UNUSED = "unused"
"""In a split's place: an image that takes no part in scores."""
MOST_PAIRED = 1000
"""Images of which views are embedded, and features of which all pairs are compared."""


def evenly(images: int, most: int) -> np.ndarray:
    """At most `most` of the row numbers 0 … images-1, evenly spaced, ascending."""
    return np.unique(np.linspace(0, images - 1, min(images, most)).round().astype(int))
