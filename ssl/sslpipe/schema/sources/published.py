"""Archives that their authors publish."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sslpipe.schema.sources.base import IMAGENET_TERMS, Downloaded, Origin
from sslpipe.schema.types import Seed


class Cub200(Downloaded):
    """CUB-200-2011 (Caltech): 11,788 photographs of 200 kinds of birds, with its train/test split."""

    kind: Literal["cub200_2011"] = "cub200_2011"
    ORIGIN: ClassVar = Origin(
        "Caltech-UCSD Birds-200-2011",
        "https://www.vision.caltech.edu/datasets/cub_200_2011/",
        "images from Flickr, for non-commercial research",
    )
    MOST_IMAGES: ClassVar = 11_788
    FILES: ClassVar = ("CUB_200_2011.tgz",)


class Sun397(Downloaded):
    """SUN397: scenes in 397 classes; one of the ten official partitions, 50 + 50 images a class."""

    kind: Literal["sun397"] = "sun397"
    ORIGIN: ClassVar = Origin(
        "SUN database",
        "https://vision.princeton.edu/projects/2010/SUN/",
        "for research",
    )
    MOST_IMAGES: ClassVar = 39_700
    FILES: ClassVar = ("SUN397.tar.gz", "Partitions.zip")
    partition: Annotated[int, Field(ge=1, le=10)] = 1


class INaturalist(Downloaded):
    """iNaturalist 2021 train_mini: 10,000 species of 50 images; `images` of them, spread evenly."""

    kind: Literal["inaturalist"] = "inaturalist"
    ORIGIN: ClassVar = Origin(
        "iNaturalist 2021",
        "https://github.com/visipedia/inat_comp/tree/master/2021",
        (
            "Creative Commons licences chosen by each photographer, partly non-commercial; "
            "the images are not passed on"
        ),
    )
    FILES: ClassVar = ("train_mini.tar.gz",)
    images: Annotated[int, Field(ge=1, le=500_000)] = 200_000
    seed: Seed = 0
    """Which images: a draw that depends on this and their names alone."""

    @property
    def most_images(self) -> int:
        return self.images


class Imagenette(Downloaded):
    """Imagenette 2 (fast.ai): 13,394 images of 10 easy classes of ImageNet; its val is the test."""

    kind: Literal["imagenette"] = "imagenette"
    ORIGIN: ClassVar = Origin(
        "Imagenette",
        "https://github.com/fastai/imagenette",
        IMAGENET_TERMS,
    )
    MOST_IMAGES: ClassVar = 13_394
    FILES: ClassVar = ("imagenette2.tgz", "imagenette2-320.tgz", "imagenette2-160.tgz")
    size: Literal["full", "320px", "160px"] = "160px"
