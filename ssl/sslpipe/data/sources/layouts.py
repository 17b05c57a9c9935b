"""The layout of one's own images: what in a name is the split, what the class.

    <class>/<file>   <split>/<class>/<file>   <class>/<split>/<file>   any folders and a label table

each below any number of folders that hold all else. Images without labels may lie beside: in a folder
whose name says so, or in a flat one beside splits. A reading is taken where it is certain; elsewhere the
UserError shows the readings and the setting of `source` that chooses.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from sslpipe.data.raw import LOOSE
from sslpipe.data.sources.split_folders import Item, Parts, parts_of
from sslpipe.data.sources.split_names import is_filler, is_mask, is_split, split_name
from sslpipe.data.splits import UNLABELLED
from sslpipe.errors import UserError, few
from sslpipe.schema.sources.folder import Folder

OUTSIDE = "images outside class folders"


class Placed(NamedTuple):
    """An image that is understood; its class is LOOSE where it has none."""

    name: str
    split: str
    class_name: str
    file: str


class Reading(NamedTuple):
    """members: member name (see data.raw) → given name. left_out: in words → images that are none.
    notes: what else should be said of it."""

    members: dict[str, str]
    left_out: Counter[str]
    notes: list[str]


def read(
    names: Iterable[str],
    source: Folder,
    *,
    labelled: bool = True,
    table: Mapping[str, tuple[str, str]] | None = None,
) -> Reading:
    """Understand the images' names, relative, with `/` between their parts.

    labelled: whether there must be classes; without, any folders will do. table: name → label and given
    split or '', of `source.labels`; images that are not in it have no label. Raises UserError where
    more than one reading is sensible, where there is no class, and for names that a CSV or another
    system could not hold.
    """
    left_out: Counter[str] = Counter()
    notes: list[str] = []
    names = list(names)
    items = list(_chosen(names, source, left_out))
    if names and not items:
        raise UserError(f"source.include and source.exclude leave none of {len(names)} images")
    parts = parts_of(
        items,
        source,
        labelled=labelled,
        by_table=table is not None,
        left_out=left_out,
        notes=notes,
    )
    if table is not None:
        placed = _by_table(parts, table, notes)
    elif labelled:
        placed = _by_folders(parts, source, left_out, notes)
    else:
        placed = _by_any_folder(parts)
    return Reading(_members(placed), left_out, notes)


def _chosen(names: Iterable[str], source: Folder, left_out: Counter[str]) -> Iterator[Item]:
    for name in names:
        if source.include and not matches(name, source.include):
            left_out["images that source.include does not name"] += 1
        elif matches(name, source.exclude):
            left_out["images that source.exclude names"] += 1
        else:
            yield Item(name, tuple(_nfc(name).split("/")))


def matches(name: str, patterns: Collection[str]) -> bool:
    """Whether a name fits one of a shell's patterns, in any Unicode form."""
    return any(fnmatchcase(_nfc(name), _nfc(pattern)) for pattern in patterns)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


# --- classes ----------------------------------------------------------------------------------


def _by_folders(
    parts: Parts, source: Folder, left_out: Counter[str], notes: list[str]
) -> Iterator[Placed]:
    labelled = [item for split, items in parts.items() if split != UNLABELLED for item in items]
    if source.depth is None:
        _require_classes(item.parts[0] for item in labelled if len(item.parts) > 1)
    depth, split_below = source.depth or 1, False
    if source.depth is None:
        split_below = _splits_below_classes(labelled) and parts.keys() <= {"all", UNLABELLED}
        for split in [] if split_below else parts.keys() - {UNLABELLED}:
            _require_one_depth(parts[split], notes)
    if source.depth is not None and not any(len(item.parts) > depth for item in labelled):
        raise UserError(
            f"source.depth: {depth}: no image lies below so many folders (and its split)"
        )
    if not any(len(item.parts) > depth for item in labelled):
        raise UserError(
            f"no class folders: expected <class>/<file> or train/<class>/<file>, but {len(labelled)} images "
            "lie outside folders; if the classes stand in a table, set source.labels, for images "
            "without labels labelled: false"
        )
    parents = defaultdict(set)
    for split, items in parts.items():
        for item in items:
            if split == UNLABELLED:
                yield Placed(item.name, split, LOOSE, "/".join((*item.above, *item.parts)))
            elif split_below and len(item.parts) > 2:
                class_name, folder, *rest = item.parts
                inner = split_name(folder)
                assert inner is not None, "see _splits_below_classes"
                yield Placed(item.name, inner.split, class_name, "/".join(rest))
            elif split_below or len(item.parts) <= depth:
                left_out[OUTSIDE] += 1
            else:
                *above, class_name = item.parts[:depth]
                if class_name == LOOSE:
                    raise UserError(
                        f"{item.name}: a class folder cannot be called {LOOSE}: rename it"
                    )
                parents[class_name].add("/".join(above))
                file = "/".join((*item.above, *above, *item.parts[depth:]))
                yield Placed(item.name, split, class_name, file)
    joined = [f"{name} (in {few(found)})" for name, found in parents.items() if len(found) > 1]
    if joined:
        notes.append(f"one class from several folders: {few(joined)}")


def _require_classes(tops: Iterable[str]) -> None:
    """Raises UserError for folders that tell kinds of files, not classes: images/ and masks/."""
    names = set(tops)
    if masks := sorted(filter(is_mask, names)):
        raise UserError(
            f"{few(names)}: {few(masks)} would be a class; leave it out with source.exclude: "
            f"{[p for mask in masks for p in (f'{mask}/*', f'*/{mask}/*')]}, or count it with source.depth: 1"
        )
    if len(names) > 1 and all(map(is_filler, names)):
        raise UserError(
            f"{few(names)}: names of no classes; if they are, source.depth: 1; if the classes stand in a "
            "table, source.labels; for images without labels, labelled: false"
        )


def _splits_below_classes(items: list[Item]) -> bool:
    """<class>/train/<file>, <class>/test/<file>."""
    inner = {item.parts[1] for item in items if len(item.parts) > 2}
    direct = any(len(item.parts) == 2 for item in items)
    below = {(item.parts[0], item.parts[2]) for item in items if len(item.parts) > 3}
    shared = len(below) > len({folder for _, folder in below})  # then those are the classes
    splits = {found.split for name in inner if (found := split_name(name)) is not None}
    several = all(map(is_split, inner)) and len(splits) > 1
    return several and not direct and not shared


def _require_one_depth(items: list[Item], notes: list[str]) -> None:
    """Raises UserError unless the first folders are the classes for certain."""
    direct = Counter(item.parts[0] for item in items if len(item.parts) == 2)
    deep = Counter(item.parts[:2] for item in items if len(item.parts) > 2)
    inner: dict[str, set[str]] = defaultdict(set)
    for top, folder in deep:
        inner[top].add(folder)
    if masks := sorted(f"{top}/{folder}" for top, folder in deep if is_mask(folder)):
        patterns = sorted({f"*/{mask.rpartition('/')[2]}/*" for mask in masks})
        raise UserError(
            f"{few(masks)}: what such folders hold would count as images of the class; leave them out "
            f"with source.exclude: {patterns}, or count them with source.depth: 1"
        )
    if direct and (splits := sorted(f"{top}/{folder}" for top, folder in deep if is_split(folder))):
        raise UserError(
            f"{few(splits)}: splits by name, in class folders that hold images too; leave them out with "
            "source.exclude, or count them as images of the class with source.depth: 1"
        )
    tops = direct.keys() | inner.keys()
    under = {top: sum(deep[top, folder] for folder in found) for top, found in inner.items()}
    mostly_direct = all(direct[top] >= count for top, count in under.items())
    one_each = not direct and len(tops) > 1 and len(set(map(frozenset, inner.values()))) == 1
    one_each = one_each and all(len(found) == 1 for found in inner.values())
    one_each = one_each and max(len(item.parts) for item in items) == 3
    if mostly_direct or one_each:
        if deep:
            named = [f"{top}/{folder} ({count})" for (top, folder), count in deep.items()]
            notes.append(f"folders in class folders count as their class: {few(named)}")
        return
    folders = set().union(*inner.values())
    shared = [f for f in folders if sum(f in found for found in inner.values()) > 1]
    as_splits = ""
    if 2 * len(shared) >= len(folders) and len(inner) > 1:
        first, second, *_ = sorted(inner)
        as_splits = (
            f"; if {few(inner)} are splits with the same classes: source.splits: "
            f"{{train: {first}, test: {second}}}"
        )
    raise UserError(
        f"folders of folders, and more than one reading: {len(tops)} classes {few(tops)} "
        f"(source.depth: 1), or {len(folders)} classes {few(folders)} (source.depth: 2){as_splits}"
    )


def _by_any_folder(parts: Parts) -> Iterator[Placed]:
    for split, items in parts.items():
        for item in items:
            top, *rest = item.parts
            if rest and top == LOOSE:
                raise UserError(f"{item.name}: a class folder cannot be called {LOOSE}: rename it")
            class_name, file = (top, rest) if rest else (LOOSE, [top])
            yield Placed(item.name, split, class_name, "/".join((*item.above, *file)))


def _by_table(
    parts: Parts, table: Mapping[str, tuple[str, str]], notes: list[str]
) -> Iterator[Placed]:
    without = 0
    for given, items in parts.items():
        for item in items:
            label, split = table.get(item.name, (LOOSE, UNLABELLED))
            without += label == LOOSE
            if given == UNLABELLED:
                label, split = LOOSE, UNLABELLED
            yield Placed(item.name, split or given, label, "/".join((*item.above, *item.parts)))
    if without:
        notes.append(f"{without} images are not in the label table: they count as unlabelled")


# --- names ------------------------------------------------------------------------------------


def _members(placed: Iterable[Placed]) -> dict[str, str]:
    members: dict[str, str] = {}
    spellings: dict[str, str] = {}
    for name, split, class_name, file in placed:
        _require_sound(name, class_name)
        other = spellings.setdefault(class_name.casefold().strip(), class_name)
        if other != class_name:
            raise UserError(
                f"classes {other!r} and {class_name!r} differ only in case or blanks: rename one of them"
            )
        member = f"{split}/{class_name}/{file}"
        if member in members:
            raise UserError(f"{members[member]} and {name} are the same image twice: {member}")
        members[member] = name
    return members


def _require_sound(name: str, class_name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{name!r} is not UTF-8: rename it") from None
    if any(ord(character) < 32 for character in name):
        raise UserError(f"{name!r} holds a control character: rename it")
