"""Mini-ImageNet."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sslpipe.schema.sources.base import (
    IMAGENET_TERMS,
    Downloaded,
    LocalPath,
    Origin,
    Watched,
    files_in,
)


class MiniImageNet(Downloaded):
    """Mini-ImageNet: 100 classes of 600 images of ImageNet.

    From the hub copy timm/mini-imagenet (50,000 train, 10,000 val, 5,000 test), or, with `imagenet`,
    from a local ImageNet and the split lists that Ravi and Larochelle published; those split
    classes, not images, so the splits here are drawn by name.
    """

    kind: Literal["mini_imagenet"] = "mini_imagenet"
    ORIGIN: ClassVar = Origin(
        "Mini-ImageNet",
        "https://huggingface.co/datasets/timm/mini-imagenet",
        IMAGENET_TERMS,
    )
    MOST_IMAGES: ClassVar = 65_000
    PLACES: ClassVar = ("directory", "imagenet")
    LISTS: ClassVar = ("train.csv", "val.csv", "test.csv")
    imagenet: LocalPath | None = None
    """ILSVRC2012's train folder: one folder for each of the 100 classes, or all 1,000."""
    revision: Annotated[str, Field(min_length=1)] = "main"
    """Commit, tag or branch of the hub copy."""

    def watched(self, given: Callable[[str], Path]) -> Watched | None:
        if self.imagenet is not None:
            return Watched(folder=given(self.imagenet), sampled=True)
        if self.directory is None:
            return None
        folder = given(self.directory)
        return Watched(
            files=tuple(sorted([*folder.rglob("*.parquet"), *files_in(folder, self.LISTS)]))
        )
