"""Images in arrays of bytes."""

from typing import ClassVar, Literal

from sslpipe.schema.sources.base import Downloaded, Origin


class Cifar10(Downloaded):
    """CIFAR-10: 60,000 images of 32×32 in 10 classes, with its test split."""

    kind: Literal["cifar10"] = "cifar10"
    ORIGIN: ClassVar = Origin(
        "CIFAR-10",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "none stated",
    )
    MOST_IMAGES: ClassVar = 60_000
    FILES: ClassVar = ("cifar-10-binary.tar.gz",)


class Stl10(Downloaded):
    """STL-10: 96×96; 5,000 train and 8,000 test images in 10 classes, 100,000 unlabelled."""

    kind: Literal["stl10"] = "stl10"
    ORIGIN: ClassVar = Origin(
        "STL-10",
        "https://cs.stanford.edu/~acoates/stl10/",
        "none stated; the images are from ImageNet",
    )
    MOST_IMAGES: ClassVar = 100_000
    FILES: ClassVar = ("stl10_binary.tar.gz",)
    part: Literal["labelled", "unlabelled"] = "labelled"

    @property
    def has_labels(self) -> bool:
        return self.part == "labelled"


class FashionMnist(Downloaded):
    """Fashion-MNIST: 70,000 grey images of 28×28 in 10 classes, with its test split."""

    kind: Literal["fashion_mnist"] = "fashion_mnist"
    ORIGIN: ClassVar = Origin(
        "Fashion-MNIST",
        "https://github.com/zalandoresearch/fashion-mnist",
        "MIT",
    )
    MAY_BE_SHOWN: ClassVar = True
    MOST_IMAGES: ClassVar = 70_000
    FILES: ClassVar = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
