"""Which images are held out. A split follows from an image's name, so none moves another."""

import hashlib
from collections.abc import Collection, Iterable

from sslpipe.errors import UserError
from sslpipe.progress import say
from sslpipe.schema import Splits

SPLITS = ("train", "val", "public", "private")
UNLABELLED = "unlabelled"
PACKED = (*SPLITS, UNLABELLED)
"""In the order of packed rows. Unlabelled images of a labelled set serve pretraining alone."""


def share(name: str, purpose: str = "") -> float:
    """A number in [0, 1) that depends on the text alone; another purpose, another number."""
    digest = hashlib.sha256(f"{purpose}{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def assign(source_name: str, given: str, given_by_source: Collection[str], splits: Splits) -> str:
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


def check(assigned: Iterable[tuple[str, str]]) -> None:
    """Check a labelled set's (split, class) pairs.

    Raises UserError for an empty split; says which classes miss from one.
    """
    classes: dict[str, set[str]] = {split: set() for split in SPLITS}
    for split, class_name in assigned:
        classes[split].add(class_name)
    empty = [split for split in SPLITS if not classes[split]]
    if empty:
        raise UserError(
            f"no image is left for {', '.join(empty)}: more images are needed, or other shares "
            "in `splits`"
        )
    everything = set().union(*classes.values())
    for split in SPLITS:
        missing = sorted(everything - classes[split])
        if missing:
            some = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
            say(f"warning: {len(missing)} classes have no image in {split}: {some}")
