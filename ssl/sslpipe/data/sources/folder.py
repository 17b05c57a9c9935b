"""The user's own images: a folder, zip or tar. What is read of it: collection.py; how: layouts.py."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from sslpipe.data.raw import LOOSE
from sslpipe.data.sources import layouts, tables
from sslpipe.data.sources.collection import Collection, opened
from sslpipe.data.suffixes import IMAGE_SUFFIXES
from sslpipe.errors import UserError, few
from sslpipe.io.progress import say
from sslpipe.layout import Layout
from sslpipe.schema.sources.folder import Folder

UNREADABLE_SHARE = 0.01
"""Of a set's images; more of them are an error, as so many would be missed."""


def folder(
    source: Folder, root: Path, *, labelled: bool = True, notes: list[str] | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield (member name, bytes), one image in memory at a time. `path` is relative to `root`.

    labelled: whether there must be classes. notes: gets what was decided, in lines. Raises UserError
    where the layout is not certain.
    """
    notes = [] if notes is None else notes
    layout = Layout(root)
    try:
        path = layout.given(source.path)
    except UserError as error:
        raise UserError(f"source.path: {error}") from None
    with opened(path, source.path, root, source.encoding) as collection:
        _require_readable(collection, source)
        table, of_table = _table(collection, source, layout)
        reading = layouts.read(collection.images, source, labelled=labelled, table=table)
        if labelled:
            _require_classes(reading.members, collection, table is not None)
        notes += [*collection.notes, *of_table, *reading.notes, *_emptied(collection)]
        notes += _idle(source, [*collection.images, *collection.unreadable])
        notes += described(reading.members, labelled)
        left_out = collection.left_out + reading.left_out + Counter(collection.others_in_words())
        left_out += Counter(collection.unreadable.values())
        if left_out:
            said = ", ".join(f"{count} {what}" for what, count in sorted(left_out.items()))
            notes.append(f"left out {said}")
        # names that are not UTF-8 may be among those that are no images
        notes[:] = [note.encode(errors="backslashreplace").decode() for note in notes]
        for note in notes:
            say(f"{source.path}: {note}")
        for member in sorted(reading.members):
            yield member, collection.read(reading.members[member])


def described(members: Mapping[str, str], labelled: bool) -> Iterator[str]:
    """Splits, classes and formats, in lines of the log."""
    splits: dict[str, Counter[str]] = {}
    for member in members:
        split, class_name, _ = member.split("/", 2)
        splits.setdefault(split, Counter())[class_name] += 1
    formats = Counter(
        PurePosixPath(name).suffix.lower() or "no suffix" for name in members.values()
    )
    for split, classes in splits.items():
        drawn = "no splits, so they are drawn" if labelled else "no splits"
        where = drawn if split == "all" else split
        of_class = [f"{name} {count}" for name, count in sorted(classes.items()) if name != LOOSE]
        what = f"{len(of_class)} classes: {few(of_class, 10)}" if of_class else "without labels"
        yield f"{where}: {classes.total()} images, {what}"
    yield f"formats: {', '.join(f'{suffix} {count}' for suffix, count in formats.most_common())}"


def _require_readable(collection: Collection, source: Folder) -> None:
    pointers = [
        name
        for name, size in collection.images.items()
        if size < 200 and collection.read(name).startswith(b"version https://git-lfs")
    ]
    if pointers:
        raise UserError(
            f"{len(pointers)} of {len(collection.images)} images are Git LFS pointers, such as "
            f"{pointers[0]}: fetch them with git lfs pull"
        )
    lost = {
        name: why
        for name, why in collection.unreadable.items()
        if not layouts.matches(name, source.exclude)
    }
    whole = len(collection.images) + len(lost)
    if len(lost) > UNREADABLE_SHARE * whole:
        counts = ", ".join(f"{count} {why}" for why, count in Counter(lost.values()).items())
        suffixes = sorted({f"*{PurePosixPath(name).suffix}" for name in lost})
        raise UserError(
            f"{counts} of {whole} images, such as {min(lost)}, cannot be read: convert them to JPEG, or go "
            f"on without them: source.exclude: {suffixes}"
        )
    if not collection.images:
        raise UserError(
            f"no images below it (files that end in {' '.join(sorted(IMAGE_SUFFIXES))})"
        )


def _table(
    collection: Collection, source: Folder, layout: Layout
) -> tuple[Mapping[str, tuple[str, str]] | None, list[str]]:
    settings = source.labels
    if settings is None:
        return None, []
    inside = [name for name in collection.tables if f"/{name}".endswith(f"/{settings.table}")]
    if len(inside) > 1:
        raise UserError(
            f"source.labels: {settings.table} may be {few(inside)}: name the folder too"
        )
    path = layout.given(settings.table)
    if inside:
        content = collection.read(inside[0])
        collection.tables.remove(inside[0])  # which is not left out
    elif path.is_file() and not layout.given(source.path).is_dir():
        content = path.read_bytes()
    else:
        there = few(collection.tables) or "none"
        raise UserError(f"source.labels: no table {settings.table!r} in it; tables there: {there}")
    try:
        chosen = [
            name
            for name in collection.images
            if (not source.include or layouts.matches(name, source.include))
            and not layouts.matches(name, source.exclude)
        ]
        return tables.labels_of(content, settings, chosen)
    except UserError as error:
        raise UserError(f"source.labels: {error}") from None


def _idle(source: Folder, names: list[str]) -> Iterator[str]:
    """Patterns that do nothing, as by a slip."""
    for key in ("include", "exclude"):
        for pattern in getattr(source, key):
            if not any(layouts.matches(name, [pattern]) for name in names):
                yield f"source.{key}: {pattern} is the name of no image (of a folder's: {pattern}/*)"


def _require_classes(members: Mapping[str, str], collection: Collection, by_table: bool) -> None:
    classes = {member.split("/", 2)[1] for member in members} - {LOOSE}
    if len(classes) >= 2:
        return
    hint = ""
    for name in sorted(collection.tables, key=lambda name: (name.count("/"), name)):
        if not by_table and (columns := tables.columns(collection.read(name))):
            hint = f"; {name} lies there, with columns {', '.join(columns)}: source.labels: {name}"
            break
    raise UserError(
        f"a labelled set needs two classes or more; there are: {few(classes) or 'none'}{hint}; for images "
        "without labels set labelled: false"
    )


def _emptied(collection: Collection) -> Iterator[str]:
    """Folders of which no image is left."""
    whole = {str(parent) for name in collection.images for parent in PurePosixPath(name).parents}
    lost: dict[str, Counter[str]] = {}
    for name, why in collection.unreadable.items():
        folder = str(PurePosixPath(name).parent)
        if folder not in whole:
            lost.setdefault(folder, Counter())[why] += 1
    for name in (*collection.others, *collection.tables):
        folder = str(PurePosixPath(name).parent)
        if folder not in whole and folder not in lost:
            lost[folder] = Counter()
    if lost:
        words = [
            f"{folder} ({', '.join(f'{n} {why}' for why, n in counts.items()) or 'other files'})"
            for folder, counts in lost.items()
        ]
        yield f"folders without an image that can be read: {few(words)}"
