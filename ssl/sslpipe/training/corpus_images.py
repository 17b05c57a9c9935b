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
        self.files = [torch.from_numpy(images) for images, _ in parts]
        # A row's number counts on from file to file; a file's end is where the next one's begin.
        self.ends = torch.tensor([len(file) for file in self.files]).cumsum(0)
        self.rows = torch.cat(
            [
                torch.from_numpy(rows) + end - len(file)
                for (_, rows), end, file in zip(parts, self.ends, self.files, strict=True)
            ]
        )
        self.shape = (len(self.rows), *self.files[0].shape[1:])
        self.nbytes = int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.rows)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """uint8 (B, S, S, 3) in memory; index: int64 (B,); dim: 0, as there is no use for others."""
        rows = self.rows[index]
        if len(self.files) == 1:
            return self.files[0].index_select(dim, rows)
        selected = torch.empty((len(rows), *self.shape[1:]), dtype=torch.uint8)
        file_of = torch.bucketize(rows, self.ends, right=True)
        for number in file_of.unique().tolist():
            file, end = self.files[number], self.ends[number]
            places = (file_of == number).nonzero().squeeze(1)
            selected.index_copy_(0, places, file.index_select(dim, rows[places] - end + len(file)))
        return selected

    def to(self, device: torch.device) -> Tensor:
        """All of them, as one tensor on a device."""
        moved = torch.empty(self.shape, dtype=torch.uint8, device=device)
        for places in torch.arange(len(self)).split(PIECE):
            moved[places[0] : places[-1] + 1] = self.index_select(0, places)
        return moved


Images = Tensor | CorpusImages
