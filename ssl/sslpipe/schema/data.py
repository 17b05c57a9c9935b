"""The schema of data sets and corpora."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sslpipe.schema.sources import Source
from sslpipe.schema.types import Count, Fraction, Name, Strict


class Splits(Strict):
    """Shares of the images that are held out.

    An image's split follows from a hash of its name, so adding images moves no other image.
    A source with its own test split keeps it: it is shared between public and private in the
    proportion given here, and only val is carved from its training images. Nothing is carved from
    an unlabelled set.
    """

    val: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    public: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    private: Annotated[float, Field(gt=0, lt=0.5)] = 0.15


def _range(value: list[float]) -> list[float]:
    if len(value) != 2 or not value[0] < value[1]:
        raise ValueError("expected [low, high], the values that become black and white")
    return value


class Dataset(Strict):
    source: Source
    labelled: bool = True
    """False: folder names are not classes; such a set feeds corpora and is never scored."""
    resize: Literal["squash", "crop"] = "squash"
    """squash to a square, or resize the shorter side and crop the centre."""
    splits: Splits = Splits()
    max_classes: Count | None = None
    """The first classes in alphabetical order."""
    max_images_per_class: Count | None = None
    """Train images only: held-out ones all stay."""
    max_unreadable: Fraction = 0.01
    range: Annotated[list[float], AfterValidator(_range)] | None = None
    """Which grey values of images of more than 8 bits become black and white; by default a file's own
    word (TIFF), or what all images of the set say together."""
    max_megapixels: Annotated[float, Field(gt=0, le=4000)] = 256.0
    """Larger images count as unreadable. One of them is in memory at a time, in each process."""
    copies: Literal["keep", "leave_out"] = "keep"
    """Of training images that equal or resemble a held-out image of the set: whether they serve k-NN,
    probes and fine-tuning as examples."""


class Corpus(Strict):
    """A pretraining corpus: the union of the train splits of these data sets."""

    datasets: Annotated[list[Name], Field(min_length=1)]
    near_duplicates: Annotated[int, Field(ge=0, le=16)] | None = 6
    """A training image is left out when its perceptual hash differs in at most so many of 64 bits
    from that of an image that is scored; null leaves out exact copies only."""
