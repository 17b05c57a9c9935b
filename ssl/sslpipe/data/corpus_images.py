"""The images of a corpus, left in the files that they are mapped from."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

PIECE = 4096
"""Images that are copied to a GPU at a time."""


class CorpusImages:
    """uint8 (N, S, S, 3): chosen rows of packed arrays, one after another.

    As far as training needs it, this is the tensor that they would make together, but only what a
    batch touches is read, and the operating system may forget it again: a corpus can be larger than
    the memory.
    """

    device = torch.device("cpu")

    def __init__(self, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """parts: (packed images uint8 (M, S, S, 3), ascending int64 rows of them)."""
        self.files = [np.asarray(images) for images, _ in parts]
        self.file_of = torch.cat([torch.full((len(rows),), i) for i, (_, rows) in enumerate(parts)])
        self.row_of = torch.cat([torch.from_numpy(rows) for _, rows in parts])
        self.shape = (len(self.row_of), *self.files[0].shape[1:])
        self.nbytes = int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.row_of)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """uint8 (B, S, S, 3) in memory; index: int64 (B,); dim: 0, as there is no use for others."""
        selected = np.empty((len(index), *self.shape[1:]), dtype=np.uint8)
        places = zip(self.file_of[index].tolist(), self.row_of[index].tolist(), strict=True)
        # One by one: each is a block of memory, and torch's gathers copy it twice over several files.
        for image, (file, row) in enumerate(places):
            selected[image] = self.files[file][row]
        return torch.from_numpy(selected)

    def to(self, device: torch.device) -> Tensor:
        """All of them, as one tensor on a device."""
        moved = torch.empty(self.shape, dtype=torch.uint8, device=device)
        for places in torch.arange(len(self)).split(PIECE):
            moved[places[0] : places[-1] + 1] = self.index_select(0, places)
        return moved


Images = Tensor | CorpusImages
