"""Which top folders are splits, and which hold images without labels."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from sslpipe.data.sources.split_names import (
    SplitName,
    is_mask,
    is_split,
    is_unlabelled,
    split_name,
)
from sslpipe.data.splits import UNLABELLED
from sslpipe.errors import UserError, few
from sslpipe.schema.sources.folder import Folder


class Item(NamedTuple):
    """An image: its given name, and those parts of it that are not understood yet, its file's the last.

    above: understood folders that must stay in the name, as the split has several.
    """

    name: str
    parts: tuple[str, ...]
    above: tuple[str, ...] = ()


Parts = dict[str, list[Item]]
"""Split → its images; `all` where the source has no splits, and for what lies beside them."""


def unwrapped(items: list[Item], keep: Callable[[str], bool]) -> list[Item]:
    """Without the folders that hold all others. keep: names of folders that mean something."""
    while True:
        tops = {item.parts[0] for item in items if len(item.parts) > 1}
        if len(tops) != 1 or keep(*tops) or max(len(item.parts) for item in items) < 3:
            return items
        # What lies beside such a folder stays where it is: outside of all folders.
        items = [item._replace(parts=item.parts[1:] or item.parts) for item in items]


def parts_of(
    items: list[Item],
    source: Folder,
    *,
    labelled: bool,
    by_table: bool,
    left_out: Counter[str],
    notes: list[str],
) -> Parts:
    """Each split's images, without the folders that tell no more than the split.

    by_table: labels do not come from folders. Raises UserError where two readings are sensible.
    """
    items = unwrapped(items, keep=is_split)
    below: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if len(item.parts) > 1:
            below[item.parts[0]].append(Item(item.name, item.parts[1:]))
    given = source.splits
    splits = _certain(below, labelled, by_table) if given is None else _given(below, given.items())
    notes += [f"folder {top} is read as {split}" for top, split in splits.items() if top != split]
    several = {split for split, count in Counter(splits.values()).items() if count > 1}
    parts: Parts = defaultdict(list)
    for folder, split in splits.items():
        above = (folder,) if split in several else ()
        parts[split] += [item._replace(above=above) for item in below[folder]]
    rest = [item for item in items if len(item.parts) == 1 or item.parts[0] not in splits]
    if splits and given is None and set(splits.values()) == {UNLABELLED}:
        # The others hold the classes, perhaps below one more folder, or splits.
        inner = parts_of(
            rest, source, labelled=labelled, by_table=by_table, left_out=left_out, notes=notes
        )
        return inner | {UNLABELLED: [*inner.get(UNLABELLED, ()), *parts[UNLABELLED]]}
    if splits:
        for folder in below.keys() - splits:  # not in source.splits
            left_out[f"images in folder {folder}, which source.splits does not name"] += len(
                below[folder]
            )
        rest = [item for item in rest if len(item.parts) == 1]
    tops = {split: {i.parts[0] for i in some if len(i.parts) > 1} for split, some in parts.items()}
    classes = set().union(*(some for some in tops.values() if len(some) > 1))
    parts = {split: unwrapped(some, keep=classes.__contains__) for split, some in parts.items()}
    return parts | ({"all": rest} if rest else {})


def _given(
    below: Mapping[str, list[Item]], given: Iterable[tuple[str, list[str]]]
) -> dict[str, str]:
    """given: splits and their folders."""
    splits = {
        unicodedata.normalize("NFC", folder): split
        for split, folders in given
        for folder in folders
    }
    if missing := [folder for folder in splits if folder not in below]:
        raise UserError(
            f"no top folder {missing[0]!r}, which source.splits names; there are: {few(below)}"
        )
    return splits


def _certain(below: Mapping[str, list[Item]], labelled: bool, by_table: bool) -> dict[str, str]:
    """Top folder → split, for those that are splits or hold images without labels."""
    names = {top: split_name(top) for top in below}
    rests = {found and found.rest for found in names.values()}
    together = len(rests) == 1 and None not in rests and len(below) > 1  # birds_train, birds_test
    splits = {
        t: found.split for t, found in names.items() if found and (together or not found.rest)
    }
    if labelled and not by_table:
        _require_apart(names)
    unlabelled = {top for top in below if is_unlabelled(top)} if labelled else set()
    others = below.keys() - splits - unlabelled
    if not labelled or by_table:
        if others and len(splits) > 1:
            raise _beside(splits, others, below)
        return {} if others else splits | dict.fromkeys(unlabelled, UNLABELLED)
    if not splits:
        return dict.fromkeys(unlabelled, UNLABELLED) if others else {}
    with_classes = {top for top in splits if not _is_flat(top, below[top])}
    if not with_classes:
        if len(splits) == 1 and others and not unlabelled:
            return {}  # one class that is called `train`
        raise UserError(
            f"{few(splits)}: read as splits, in which there are no class folders; if these are the "
            "classes, set source.splits: {}; if the classes stand in a table, source.labels; for images "
            "without labels, labelled: false"
        )
    if masks := sorted(filter(is_mask, others)):
        raise UserError(
            f"{few(masks)} beside {few(splits)}: no split; leave it out with source.exclude: "
            f"{[p for mask in masks for p in (f'{mask}/*', f'*/{mask}/*')]}"
        )
    flat = {top for top in others if _is_flat(top, below[top])}
    if others - flat or (flat and len(with_classes) < 2):
        raise _beside(splits, others, below)
    without = unlabelled | flat | (splits.keys() - with_classes)
    return {top: UNLABELLED if top in without else splits[top] for top in (*splits, *without)}


def _require_apart(names: Mapping[str, SplitName | None]) -> None:
    """Raises UserError for split and class in one name: train_cat, test_cat, train_dog, test_dog."""
    all_found = [found for found in names.values() if found is not None]
    if len(all_found) < len(names):
        return
    splits_of: dict[frozenset[str], set[str]] = defaultdict(set)
    for found in all_found:
        splits_of[found.rest].add(found.split)
    if len(splits_of) > 1 and any(rest and len(splits) > 1 for rest, splits in splits_of.items()):
        raise UserError(
            f"{few(names)}: split and class in one name, or classes? If they are classes, set "
            "source.splits: {}; if not, make folders of them: train/cat, test/cat, …"
        )


def _is_flat(top: str, items: list[Item]) -> bool:
    """Whether no folder below can be a class: none, or one of the top folder's own name."""
    return all(len(item.parts) == 1 or item.parts[:-1] == (top,) for item in items)


def _beside(
    splits: Mapping[str, str], others: Collection[str], below: Mapping[str, list[Item]]
) -> UserError:
    named = {splits[top]: top for top in sorted(splits)}
    other = min(others)
    if _is_flat(other, below[other]):
        named[UNLABELLED] = other
    else:
        named["train"] = f"[{named['train']}, {other}]" if "train" in named else other
    example = ", ".join(f"{split}: {folders}" for split, folders in named.items())
    return UserError(
        f"{few(splits)}: split by name, but beside {few(others)}: two readings. If all top folders are "
        f"classes, set source.splits: {{}}; if not, name the splits, such as source.splits: {{{example}}}; "
        "what is not named is left out"
    )
