"""The user's own images."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sslpipe.schema.sources.base import LocalPath, Origin, Source, Watched
from sslpipe.schema.types import Strict


def _images(value: str) -> str:
    with suppress(RuntimeError):  # of a ~ that stands for no home folder, which `download` tells
        if Path(value).expanduser().resolve() in (Path().resolve(), *Path().resolve().parents):
            raise ValueError("the project itself lies there: give a folder of images")
    return value


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


class Folder(Source):
    """Your own images: a folder, zip or tar of class folders, with or without train/test above them.

    What is certain is read; these settings decide where it is not.
    """

    kind: Literal["folder"] = "folder"
    ORIGIN: ClassVar = Origin(
        "your own images",
        "",
        "your own",
    )
    MAY_BE_SHOWN: ClassVar = True
    READS_FOLDERS: ClassVar = True
    PLACES: ClassVar = ("path",)
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

    def watched(self, given: Callable[[str], Path]) -> Watched:
        path = given(self.path)
        if path.is_dir():
            return Watched(folder=path)
        table = given(self.labels.table) if self.labels else path
        return Watched(files=tuple(file for file in dict.fromkeys((path, table)) if file.is_file()))
