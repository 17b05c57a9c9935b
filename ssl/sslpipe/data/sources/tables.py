"""Labels from a table: a CSV or TSV file with a line for each image."""

import csv
import io
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from sslpipe.data.raw import LOOSE
from sslpipe.data.sources.split_names import split_name
from sslpipe.errors import UserError, few
from sslpipe.schema.sources.folder import LabelTable

IMAGE_COLUMNS = (
    "image", "image_id", "imageid", "image_name", "image_path", "image_file", "img", "img_id", "img_path",
    "filename", "file_name", "file", "filepath", "file_path", "path", "name", "id", "uuid",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "class", "class_name", "classname", "category", "target", "y", "species", "breed",
    "diagnosis", "dx", "type",
)  # fmt: skip
SPLIT_COLUMNS = ("split", "subset", "set", "partition", "fold_name")
DELIMITERS = ",\t;|"


def labels_of(
    content: bytes, settings: LabelTable, images: Collection[str]
) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Image's name → (label, split or ''), for those that the table names; and what should be said.

    A line may name an image by its whole path, by the end of it, or without its suffix. Raises
    UserError where columns or names are not clear, or no line names an image.
    """
    header, lines = _read(content, settings.table)
    image = _column(header, settings.image, IMAGE_COLUMNS, "image", settings.table)
    label = _column(header, settings.label, LABEL_COLUMNS, "label", settings.table)
    split = _column(header, settings.split, SPLIT_COLUMNS, "split", settings.table)
    whole = [line for line in lines if len(line) == len(header)]
    if (
        settings.split is None
        and split is not None
        and not all(split_name(x[split]) for x in whole)
    ):
        split = None  # a column of that name, but not of splits
    if image is None or label is None or image == label:
        raise _unclear(header, settings.table)
    found: dict[str, tuple[str, str]] = {}
    unknown = []
    spelled: dict[str, list[str]] = {}
    known_as = _known_as(images)
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise UserError(
                f"{settings.table}: line {number}: {len(line)} columns instead of {len(header)}"
            )
        named = _nfc(line[image].strip().replace("\\", "/").removeprefix("./"))
        matches = known_as.get(named, ())
        if len(matches) > 1:
            raise UserError(
                f"{settings.table}: line {number}: {named} may be {few(matches)}: name the folder too"
            )
        if not matches:
            unknown.append(named)
            continue
        values = _label(line[label], settings.table, number), _split(line, split, settings, number)
        other = spelled.setdefault(values[0], line[label].split())
        if other != line[label].split():
            raise UserError(
                f"{settings.table}: line {number}: labels {' '.join(other)!r} and {line[label]!r} "
                "would be one class"
            )
        if found.setdefault(matches[0], values) != values:
            raise UserError(
                f"{settings.table}: {named} has two labels: {found[matches[0]][0]}, {values[0]}"
            )
    if not found:
        raise UserError(
            f"{settings.table}: none of its {len(lines)} lines names an image, such as {few(unknown)}; "
            f"images are such as {few(images)}"
        )
    notes = [f"labels from {settings.table}: columns {header[image]}, {header[label]}"]
    if unknown:
        notes.append(f"{len(unknown)} lines of {settings.table} name no image: {few(unknown)}")
    return found, notes


def columns(content: bytes) -> list[str]:
    """The table's header, for a message; empty where it is none."""
    try:
        return _read(content, "")[0]
    except UserError:
        return []


def _read(content: bytes, name: str) -> tuple[list[str], list[list[str]]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{name}: not UTF-8: save it as UTF-8") from None
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    except csv.Error as error:
        raise UserError(f"{name}: not a table ({error})") from None
    if len(rows) < 2 or len(rows[0]) < 2:
        raise UserError(f"{name}: not a table: expected a header and lines of two columns or more")
    return [cell.strip() for cell in rows[0]], rows[1:]


def _column(
    header: list[str], given: str | None, usual: Collection[str], what: str, table: str
) -> int | None:
    if given is not None:
        if header.count(given) != 1:
            raise UserError(
                f"{table}: no column {given!r} ({what}); there are: {', '.join(header)}"
            )
        return header.index(given)
    lower = [cell.casefold().replace(" ", "_") for cell in header]
    found = [name for name in usual if name in lower]
    if not found or what == "split" or len(found) == 1:
        return lower.index(found[0]) if found else None
    if what == "image":  # `filename` beside `id`
        return lower.index(found[0])
    raise _unclear(header, table)


def _unclear(header: list[str], table: str) -> UserError:
    return UserError(
        f"{table}: which columns are the image and its label? There are: {', '.join(header)}; name them: "
        f"source.labels: {{table: {table}, image: {header[0]}, label: {header[-1]}}}"
    )


def _known_as(images: Collection[str]) -> Mapping[str, list[str]]:
    """What a line may call an image → the images so called."""
    known: dict[str, list[str]] = defaultdict(list)
    for image in images:
        path = PurePosixPath(_nfc(image))
        for start in range(len(path.parts)):
            end = "/".join(path.parts[start:])
            for name in {end, end[: -len(path.suffix)] if path.suffix else end}:
                known[name].append(image)
    return known


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _label(text: str, table: str, number: int) -> str:
    label = " ".join(text.replace("/", "-").split())
    if not label or label == LOOSE:
        raise UserError(f"{table}: line {number}: the label is {text!r}")
    return label


def _split(line: list[str], column: int | None, settings: LabelTable, number: int) -> str:
    if column is None:
        return ""
    found = split_name(line[column])
    if found is None:
        raise UserError(f"{settings.table}: line {number}: no split is called {line[column]!r}")
    return found.split
