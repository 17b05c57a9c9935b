"""Packed sets of made-up images."""

import hashlib

import numpy as np

from sslpipe.data.index import write_index
from sslpipe.io.files import write_sealed
from sslpipe.layout import Layout


def write_packed(layout: Layout, name: str, entries, images: np.ndarray) -> None:
    """The index with its images' checksums, and the images, uint8 (N, S, S, 3)."""
    layout.packed_index(name).parent.mkdir(parents=True, exist_ok=True)
    with_sums = [
        entry._replace(sha256=hashlib.sha256(image).hexdigest())
        for entry, image in zip(entries, images, strict=True)
    ]
    write_index(layout.packed_index(name), with_sums)
    np.save(layout.packed_images(name), images)
    write_sealed(layout.notes(name, "download"), {"notes": []})
    write_sealed(layout.notes(name, "subset"), {"notes": [], "remarks": [], "left_out": []})
