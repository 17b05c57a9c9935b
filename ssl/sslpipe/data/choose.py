"""Which images of a source are packed, in which split, with which label."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sslpipe.data.raw import LOOSE, Member
from sslpipe.data.splits import PACKED, UNLABELLED, assign, share
from sslpipe.errors import UserError, few
from sslpipe.io.progress import say
from sslpipe.schema.data import Dataset


class Choice(NamedTuple):
    """An image to be packed. Unlabelled: label -1, class_name ''."""

    member: Member
    split: str
    label: int
    class_name: str


def choose(members: Sequence[Member], dataset: Dataset) -> list[Choice]:
    """Apply labels, splits and limits; sorted by split, then by name.

    max_classes keeps the first class folders in alphabetical order. max_images_per_class limits
    the train images of each class folder (held-out ones all stay): those with the smallest hash
    of their names, so that the choice is stable. Labels are positions in the sorted class names.
    Nothing is carved from an unlabelled set, as it is never scored. Unlabelled images of a labelled
    set form a split of their own.

    Raises UserError when a labelled set has fewer than two classes.
    """
    unlabelled = [member for member in members if member.split == UNLABELLED]
    if dataset.labelled:
        members = _in_class_folders([member for member in members if member.split != UNLABELLED])
    kept = sorted({member.class_name for member in members})[: dataset.max_classes]
    if dataset.labelled and len(kept) < 2:
        limit = f" (max_classes: {dataset.max_classes})" if dataset.max_classes else ""
        raise UserError(
            "a labelled set needs two classes or more; there are: "
            f"{', '.join(kept) or 'none'}{limit}"
        )
    labels = {class_name: label for label, class_name in enumerate(kept)}
    given_by_source = {member.split for member in members}
    chosen = []
    for member in members:
        if member.class_name not in labels:
            continue
        split = "train"
        if dataset.labelled or member.split not in ("all", "train", UNLABELLED):
            split = assign(member.name, member.split, given_by_source, dataset.splits)
        label = labels[member.class_name] if dataset.labelled else -1
        class_name = sys.intern(member.class_name) if dataset.labelled else ""
        chosen.append(Choice(member, sys.intern(split), label, class_name))
    if dataset.labelled:
        chosen = _with_an_example(chosen)
    chosen = _limited(chosen, dataset.max_images_per_class)
    if dataset.labelled:
        chosen += [Choice(member, UNLABELLED, -1, "") for member in unlabelled]
    return sorted(chosen, key=lambda choice: (PACKED.index(choice.split), choice.member.name))


def _in_class_folders(members: Sequence[Member]) -> list[Member]:
    inside = [member for member in members if member.class_name != LOOSE]
    if len(inside) < len(members):
        say(f"left out {len(members) - len(inside)} images outside class folders")
    return inside


def _with_an_example(chosen: list[Choice]) -> list[Choice]:
    """A class of few images may lose all to val, public and private: then the one with the smallest hash
    of its name stays in train, if it was drawn and not given."""
    trained = {choice.label for choice in chosen if choice.split == "train"}
    drawn = [choice for choice in chosen if choice.member.split in ("all", "train")]
    moved = {}
    for choice in sorted(drawn, key=lambda choice: share(choice.member.name, "keep:")):
        if choice.label not in trained:
            trained.add(choice.label)
            moved[choice.member.name] = choice._replace(split="train")
    if moved:
        names = few(choice.class_name for choice in moved.values())
        say(
            f"{len(moved)} classes of few images keep one in train that was drawn for another split: {names}"
        )
    return [moved.get(choice.member.name, choice) for choice in chosen]


def _limited(chosen: list[Choice], limit: int | None) -> list[Choice]:
    if limit is None:
        return chosen
    train = defaultdict(list)
    for choice in chosen:
        if choice.split == "train":
            train[choice.member.class_name].append(choice)
    kept = [choice for choice in chosen if choice.split != "train"]
    for choices in train.values():
        # not the number that drew the split: the purpose makes the two independent
        choices.sort(key=lambda choice: share(choice.member.name, "limit:"))
        kept.extend(choices[:limit])
    return kept
