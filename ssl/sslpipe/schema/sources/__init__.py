"""`source:` of a data set in params.yaml, by its kind. A new kind: its settings and facts in a file here,
the line below, and its reader in sslpipe/data/sources."""

from typing import Annotated, Any, Literal, Union

from pydantic import BeforeValidator, Discriminator, Tag

from sslpipe.schema.sources.arrays import Cifar10, FashionMnist, Stl10
from sslpipe.schema.sources.base import Source as Base
from sslpipe.schema.sources.bundled import Digits, Elpv, PhotoPatches
from sslpipe.schema.sources.folder import Folder
from sslpipe.schema.sources.mini_imagenet import MiniImageNet
from sslpipe.schema.sources.published import Cub200, Imagenette, INaturalist, Sun397
from sslpipe.schema.sources.web import CC12M
from sslpipe.schema.types import read_as

SOURCE_KINDS: dict[str, type[Base]] = {
    source.model_fields["kind"].default: source
    for source in (
        PhotoPatches,
        Digits,
        Elpv,
        Folder,
        Cub200,
        MiniImageNet,
        Sun397,
        INaturalist,
        CC12M,
        Cifar10,
        Stl10,
        Imagenette,
        FashionMnist,
    )
}


def _source_kind(value: Any) -> str | None:
    return value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)


def _source_from_name(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


ANY_SOURCE: Any = Annotated[
    Union[*(Annotated[source, Tag(kind)] for kind, source in SOURCE_KINDS.items())],
    Discriminator(_source_kind),
    BeforeValidator(
        _source_from_name,
        # by its name alone, where it has no setting that must be given
        json_schema_input_type=Union[
            Literal[*(kind for kind in SOURCE_KINDS if kind != "folder")],
            *SOURCE_KINDS.values(),
        ],
    ),
]
Source = Annotated[Base, read_as(ANY_SOURCE)]
