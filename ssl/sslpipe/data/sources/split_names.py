"""What the name of a folder says of the images below it: a split, no labels, masks, nothing."""

import re
from typing import NamedTuple

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "devel", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "holdout", "heldout"), "test"),
    "public": "public",
    "private": "private",
}
UNLABELLED_WORDS = {
    "unlabelled", "unlabeled", "unlabel", "nolabel", "nolabels", "unsup", "unsupervised",
}  # fmt: skip
# Words that may stand beside, as in `train_images`, `seg_train`, `data-test`.
FILLERS = {
    "data", "dataset", "datasets", "final", "folder", "full", "image", "images", "img", "imgs", "jpeg",
    "jpegs", "jpg", "jpgs", "original", "photo", "photos", "pic", "pics", "picture", "pictures", "png",
    "pngs", "raw", "samples", "seg", "set", "sets", "split", "splits",
}  # fmt: skip
MASK_WORDS = {
    "annotation", "annotations", "bbox", "depth", "edges", "ground", "groundtruth", "gt", "heatmaps",
    "label", "labels", "mask", "masks", "matte", "mattes", "parsing", "seg", "segmentation",
    "segmentations", "segs", "thumb", "thumbnails", "thumbs", "trimap", "trimaps", "truth",
}  # fmt: skip
KNOWN = {*SPLIT_WORDS, *UNLABELLED_WORDS, *FILLERS, *MASK_WORDS}
# A run of capitals, or letters after at most one capital.
WORD = re.compile(r"[^\W\d_a-z]+(?![a-z])|[^\W\d_]?[^\W\d_A-Z]+")
JOINED = re.compile(
    r"(train|training|test|testing|val|valid|validation|dev|eval)(?:set|data|imgs?|images)"
)


class SplitName(NamedTuple):
    """rest: the other words of the name, such as birds of `birds_train`."""

    split: str
    rest: frozenset[str]


def words(name: str) -> list[str]:
    """The words of a folder's name in lower case, without digits: TrainSet, seg_train, tEsT2017."""
    found = []
    for part in re.findall(r"[^\W\d_]+", name):
        pieces = [part] if part.casefold() in KNOWN or JOINED.fullmatch(part.casefold()) else None
        found += [word.casefold() for word in pieces or WORD.findall(part)]
    return [match[1] if (match := JOINED.fullmatch(word)) else word for word in found]


def split_name(name: str) -> SplitName | None:
    """The split that a name tells, if one of its words is a split's and no other is."""
    found = words(name)
    splits = [word for word in found if word in SPLIT_WORDS]
    if len(splits) != 1:
        return None
    rest = frozenset(found) - set(splits) - FILLERS
    return SplitName(SPLIT_WORDS[splits[0]], rest)


def is_split(name: str) -> bool:
    """Whether the name is that of a split and of nothing else."""
    found = split_name(name)
    return found is not None and not found.rest


def is_unlabelled(name: str) -> bool:
    found = words(name)
    return bool(UNLABELLED_WORDS & set(found)) or found[:2] in (["no", "label"], ["no", "labels"])


def is_filler(name: str) -> bool:
    """Whether the name tells that there are images, and nothing else."""
    found = set(words(name))
    return bool(found) and found <= FILLERS - {"set", "sets", "split", "splits", "samples"}


def is_mask(name: str) -> bool:
    found = set(words(name))
    return bool(found) and found & MASK_WORDS != set() and found <= MASK_WORDS | FILLERS
