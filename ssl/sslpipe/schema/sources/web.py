"""Images that lie all over the web."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sslpipe.schema.sources.base import Downloaded, Origin
from sslpipe.schema.types import Seed


class CC12M(Downloaded):
    """Conceptual 12M: a list of images on the web, of which many are gone."""

    kind: Literal["cc12m"] = "cc12m"
    ORIGIN: ClassVar = Origin(
        "Conceptual 12M",
        "https://github.com/google-research-datasets/conceptual-12m",
        "a list of links only; the images belong to their owners and are not passed on",
    )
    FILES: ClassVar = ("cc12m.tsv",)
    images: Annotated[int, Field(ge=1, le=12_000_000)] = 600_000
    """So many that arrive; the list is followed further for each that does not."""
    seed: Seed = 0
    """Which images: the order in which addresses are tried depends on this and them alone."""
    shorter_side: Annotated[int, Field(ge=32, le=4096)] | None = 256
    """Larger images are made smaller on arrival (JPEG, quality 95); null keeps their bytes."""
    connections: Annotated[int, Field(ge=1, le=1024)] = 64
    timeout: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Seconds that a server may be silent."""
    retries: Annotated[int, Field(ge=0, le=10)] = 1

    @property
    def most_images(self) -> int:
        return self.images

    @property
    def has_labels(self) -> bool:
        return False
