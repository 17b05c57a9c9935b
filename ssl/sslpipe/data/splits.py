"""Which images are held out. A split follows from an image's name, so none moves another."""

import hashlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from sslpipe.errors import UserError, few
from sslpipe.io.progress import say

if TYPE_CHECKING:
    from sslpipe.schema.data import Splits

SPLITS = ("train", "val", "public", "private")
UNLABELLED = "unlabelled"
PACKED = (*SPLITS, UNLABELLED)
"""In the order of packed rows. Unlabelled images of a labelled set serve pretraining alone."""


def share(name: str, purpose: str = "") -> float:
    """A number in [0, 1) that depends on the text alone; another purpose, another number."""
    digest = hashlib.sha256(f"{purpose}{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def assign(source_name: str, given: str, given_by_source: Collection[str], splits: "Splits") -> str:
    """The split of one image: train, val, public or private.

    given: the split that the source gave it: one of all, train, test, val, public, private.
    given_by_source: all splits that occur in the source; what it lacks is carved from its
    training images. Its own val, public and private stay, its test is shared between public and
    private. As each image is drawn alone, each class is split in these proportions on average.
    """
    drawn = share(source_name)
    if given in ("val", "public", "private"):
        return given
    if given == "test":
        return "public" if drawn * (splits.public + splits.private) < splits.public else "private"
    edge = 0.0
    for split in carved(given_by_source):
        edge += getattr(splits, split)
        if drawn < edge:
            return split
    return "train"


def carved(given_by_source: Collection[str]) -> list[str]:
    """The splits that must come from a source's training images."""
    missing = {"val", "public", "private"} - set(given_by_source)
    if "test" in given_by_source:
        missing -= {"public", "private"}
    return [split for split in SPLITS if split in missing]


def check(images: Mapping[tuple[str, str], int], drawn: Collection[str] = ()) -> None:
    """Check how many images a labelled set has of each (split, class). drawn: see `carved`.

    Raises UserError where no score is possible: an empty split, fewer than two classes in train, a
    held-out split of whose classes none is in train. Says which classes miss from a split.
    """
    classes: dict[str, set[str]] = {split: set() for split in SPLITS}
    for split, class_name in images:
        classes[split].add(class_name)
    everything = set().union(*classes.values())
    empty = [split for split in SPLITS if not classes[split]]
    if empty:
        raise UserError(
            f"no image is left for {', '.join(empty)}: more images are needed, or other shares "
            "in `splits`"
        )
    if len(classes["train"]) < 2:
        others = few(everything - classes["train"])
        raise UserError(
            f"only class {few(classes['train'])} has training images"
            f"{f', {others} has none' if others else ''}: nothing can be told apart"
        )
    if unknown := [split for split in SPLITS if not classes[split] & classes["train"]]:
        held_out = few(set().union(*(classes[split] for split in unknown)))
        names = " and ".join(unknown).replace("public and private", "test")
        folders = ", ".join(f"{name}/*" for name in names.split(" and "))
        todo = (
            f"are these images labelled? If not, leave {names} out (a folder: source.exclude: [{folders}]), "
            "to have it drawn from train"
        )
        if set(unknown) <= set(drawn):
            todo = "more images of each class are needed"
        raise UserError(
            f"no class of {names} ({held_out}) is in train ({few(classes['train'])}), so that no score is "
            f"possible: {todo}"
        )
    for split in SPLITS:
        missing = everything - classes[split]
        if not missing:
            continue
        why = ", as each image is drawn by its name alone" if split in drawn else ""
        if split == "train":
            count = sum(n for (_, name), n in images.items() if name in missing)
            why = f", so that {count} held-out images cannot be recognised"
        say(f"warning: {len(missing)} classes have no image in {split}: {few(missing)}{why}")
