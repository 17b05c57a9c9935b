"""Images that ship inside PyPI packages."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sslpipe.schema.sources.base import Origin, Source


class PhotoPatches(Source):
    """Patches of the photographs inside scikit-image and scikit-learn; a class per photograph."""

    kind: Literal["photo_patches"] = "photo_patches"
    ORIGIN: ClassVar = Origin(
        "the example images of scikit-image and scikit-learn",
        "https://scikit-image.org/docs/stable/api/skimage.data.html",
        "each photograph has its own, see the notes in these two packages",
    )
    MAY_BE_SHOWN: ClassVar = True
    OWN_SPLITS: ClassVar = True
    train_per_class: Annotated[int, Field(ge=10, le=2000)] = 200
    val_per_class: Annotated[int, Field(ge=2, le=500)] = 40
    test_per_class: Annotated[int, Field(ge=2, le=500)] = 50
    """Patches of each of the public and the private split."""

    @property
    def most_images(self) -> int:
        return self.train_per_class * 20


class Digits(Source):
    """scikit-learn's 1,797 handwritten digits of 8×8 pixels."""

    kind: Literal["digits"] = "digits"
    ORIGIN: ClassVar = Origin(
        "Optical Recognition of Handwritten Digits, UCI Machine Learning Repository",
        "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        "CC BY 4.0",
    )
    MAY_BE_SHOWN: ClassVar = True
    MOST_IMAGES: ClassVar = 1797


class Elpv(Source):
    """2,624 photographs of solar cells with defect labels (package elpv-dataset)."""

    kind: Literal["elpv"] = "elpv"
    ORIGIN: ClassVar = Origin(
        "ELPV dataset",
        "https://github.com/zae-bayern/elpv-dataset",
        "CC BY-NC-SA 4.0",
    )
    MAY_BE_SHOWN: ClassVar = True
    MOST_IMAGES: ClassVar = 2624
