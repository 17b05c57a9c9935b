"""Sources of images in params.yaml: `source:` of a data set, by its kind."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Union
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from sslpipe.schema.types import Seed, Strict

LONGEST_NAME = 255
"""Bytes."""


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or re.search(r"\s", value) or parts.query or parts.fragment:
        raise ValueError("expected the address of a folder, such as https://example.org/sets")
    return value


Url = Annotated[str, AfterValidator(_url)]


def _local(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise ValueError("expected a path on this machine")
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in Path(value).parts):
        raise ValueError(f"holds a name of more than {LONGEST_NAME} bytes, which no file can have")
    return value


LocalPath = Annotated[str, AfterValidator(_local)]


def _images(value: str) -> str:
    with suppress(RuntimeError):  # of a ~ that stands for no home folder, which `download` tells
        if Path(value).expanduser().resolve() in (Path().resolve(), *Path().resolve().parents):
            raise ValueError("the project itself lies there: give a folder of images")
    return value


def _checksum(value: str) -> str:
    if not re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", value):
        raise ValueError("expected md5: or sha256: and lower-case hexadecimal digits")
    return value


Checksum = Annotated[str, AfterValidator(_checksum)]


class PhotoPatches(Strict):
    """Patches of the photographs inside scikit-image and scikit-learn; a class per photograph."""

    kind: Literal["photo_patches"] = "photo_patches"
    train_per_class: Annotated[int, Field(ge=10, le=2000)] = 200
    val_per_class: Annotated[int, Field(ge=2, le=500)] = 40
    test_per_class: Annotated[int, Field(ge=2, le=500)] = 50
    """Patches of each of the public and the private split."""


class Digits(Strict):
    """scikit-learn's 1,797 handwritten digits of 8×8 pixels."""

    kind: Literal["digits"] = "digits"


class Elpv(Strict):
    """2,624 photographs of solar cells with defect labels (package elpv-dataset)."""

    kind: Literal["elpv"] = "elpv"


def _encoding(value: str) -> str:
    try:
        # As in every encoding that archives use; those of escapes make other characters of a backslash.
        if b"a/1.jpg".decode(value) != "a/1.jpg" or "escape" in value:
            raise ValueError
    except (LookupError, ValueError):
        raise ValueError("no encoding that Python knows, such as cp932 or gbk") from None
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class LabelTable(Strict):
    """A CSV or TSV file with a line for each image."""

    table: Annotated[LocalPath, AfterValidator(os.path.normpath)]
    """Its path in the folder, zip or tar, or else from the project's root."""
    image: str | None = None
    """Column of the images' names, with or without folders and suffix; found by its name if not given."""
    label: str | None = None
    split: str | None = None


class Folder(Strict):
    """Your own images: a folder, zip or tar of class folders, with or without train/test above them.

    What is certain is read; these settings decide where it is not.
    """

    kind: Literal["folder"] = "folder"
    path: Annotated[LocalPath, AfterValidator(_images)]
    splits: (
        dict[
            Literal["train", "val", "test", "public", "private", "unlabelled"],
            Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_listed)],
        ]
        | None
    ) = None
    """Split → its top folder or folders; {}: no top folder is a split. Others are left out."""
    depth: Annotated[int, Field(ge=1, le=8)] | None = None
    """Which folder on the way to an image is its class, counted below the split."""
    labels: Annotated[
        LabelTable | None,
        BeforeValidator(lambda value: {"table": value} if isinstance(value, str) else value),
    ] = None
    """Labels from a table, instead of folders."""
    include: list[str] = []
    """Patterns as a shell's, of whole names below `path`; `*` stands for folders too."""
    exclude: list[str] = []
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    """Of the names in a zip that are not marked as UTF-8, such as cp932 or gbk."""

    @model_validator(mode="after")
    def _agree(self) -> "Folder":
        folders = [folder for some in (self.splits or {}).values() for folder in some]
        if len(set(folders)) < len(folders):
            raise ValueError("splits: one folder in two splits")
        if self.labels and self.depth:
            raise ValueError("depth says which folder is the class, but labels come from a table")
        return self


class Downloaded(Strict):
    """Settings of every source whose files come from the network."""

    mirrors: list[Url] = []
    """Addresses of folders that hold the same files; tried in this order, before the origin."""
    directory: LocalPath | None = None
    """A folder that may hold the files already; those with the right checksum are used from there."""
    checksums: dict[str, Checksum] = {}
    """File name → md5:… or sha256:…, for files whose origin publishes none."""

    FILES: ClassVar[tuple[str, ...]] = ()
    """Names that `checksums` can give; those of the hub are not known beforehand."""


class Cub200(Downloaded):
    """CUB-200-2011 (Caltech): 11,788 photographs of 200 kinds of birds, with its train/test split."""

    kind: Literal["cub200_2011"] = "cub200_2011"
    FILES: ClassVar = ("CUB_200_2011.tgz",)


class MiniImageNet(Downloaded):
    """Mini-ImageNet: 100 classes of 600 images of ImageNet.

    From the hub copy timm/mini-imagenet (50,000 train, 10,000 val, 5,000 test), or, with `imagenet`,
    from a local ImageNet and the split lists that Ravi and Larochelle published; those split
    classes, not images, so the splits here are drawn by name.
    """

    kind: Literal["mini_imagenet"] = "mini_imagenet"
    LISTS: ClassVar = ("train.csv", "val.csv", "test.csv")
    imagenet: LocalPath | None = None
    """ILSVRC2012's train folder: one folder for each of the 100 classes, or all 1,000."""
    revision: Annotated[str, Field(min_length=1)] = "main"
    """Commit, tag or branch of the hub copy."""


class Sun397(Downloaded):
    """SUN397: scenes in 397 classes; one of the ten official partitions, 50 + 50 images a class."""

    kind: Literal["sun397"] = "sun397"
    FILES: ClassVar = ("SUN397.tar.gz", "Partitions.zip")
    partition: Annotated[int, Field(ge=1, le=10)] = 1


class INaturalist(Downloaded):
    """iNaturalist 2021 train_mini: 10,000 species of 50 images; `images` of them, spread evenly."""

    kind: Literal["inaturalist"] = "inaturalist"
    FILES: ClassVar = ("train_mini.tar.gz",)
    images: Annotated[int, Field(ge=1, le=500_000)] = 200_000
    seed: Seed = 0
    """Which images: a draw that depends on this and their names alone."""


class CC12M(Downloaded):
    """Conceptual 12M: a list of images on the web, of which many are gone."""

    kind: Literal["cc12m"] = "cc12m"
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


class Cifar10(Downloaded):
    """CIFAR-10: 60,000 images of 32×32 in 10 classes, with its test split."""

    kind: Literal["cifar10"] = "cifar10"
    FILES: ClassVar = ("cifar-10-binary.tar.gz",)


class Stl10(Downloaded):
    """STL-10: 96×96; 5,000 train and 8,000 test images in 10 classes, 100,000 unlabelled."""

    kind: Literal["stl10"] = "stl10"
    FILES: ClassVar = ("stl10_binary.tar.gz",)
    part: Literal["labelled", "unlabelled"] = "labelled"


class Imagenette(Downloaded):
    """Imagenette 2 (fast.ai): 13,394 images of 10 easy classes of ImageNet; its val is the test."""

    kind: Literal["imagenette"] = "imagenette"
    FILES: ClassVar = ("imagenette2.tgz", "imagenette2-320.tgz", "imagenette2-160.tgz")
    size: Literal["full", "320px", "160px"] = "160px"


class FashionMnist(Downloaded):
    """Fashion-MNIST: 70,000 grey images of 28×28 in 10 classes, with its test split."""

    kind: Literal["fashion_mnist"] = "fashion_mnist"
    FILES: ClassVar = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )


SOURCE_KINDS: dict[str, type[Strict]] = {
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


AnySource = Union[*(Annotated[source, Tag(kind)] for kind, source in SOURCE_KINDS.items())]
Source = Annotated[
    AnySource,
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
