"""The page on a data set: its origin and what its index says of the images, as Markdown.

Pure functions; the same index gives the same bytes.
"""

import inspect
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sslpipe.data.index import Entry, Index
from sslpipe.data.splits import SPLITS, UNLABELLED
from sslpipe.reporting.letters import numbered
from sslpipe.reporting.markdown import Rows, code, table

if TYPE_CHECKING:
    from sslpipe.schema.data import Dataset

MANY_CLASSES = 30
"""Of more classes than this only the largest and the smallest have a row."""
ENDS = 10
"""So many of each of these."""
MOST_UNREADABLE = 50
MOST_GROUPS = 10
MOST_NAMES = 5
"""In a group of equal images, or of classes that a split lacks."""


def page(
    name: str,
    dataset: "Dataset",
    index: Index,
    image_size: int,
    sheet: str | None,
    decided: Sequence[str] = (),
) -> str:
    """The whole page. sheet: the file of example images that it shows, beside it; decided: what was,
    by `download` and `subset`."""
    parts = [f"# {name}", _origin(dataset)]
    if sheet:
        parts.append(f"![Example images of {name}]({sheet})")
    parts += ["## Images", _packing(dataset, index, image_size), _split_table(index)]
    if index.split_entries(UNLABELLED):
        count = _count(len(index.split_entries(UNLABELLED)), "image")
        parts.append(f"And {count} without labels, for pretraining alone.")
    if decided:
        parts += ["## How it was read", "\n".join(f"- {_literal(note)}" for note in decided)]
    if index.classes:
        parts += ["## Classes", *_classes(index), *numbered(index.classes)]
    parts += ["## Sizes before resizing", *_sizes(index, image_size)]
    parts += ["## Unreadable images", *_unreadable(index)]
    parts += ["## Equal images", *_equal(index)]
    return "\n\n".join(parts) + "\n"


def facts(
    name: str, dataset: "Dataset", index: Index, image_size: int, index_sha256: str
) -> dict[str, Any]:
    """The same in short, as JSON: origin, images of each split, classes with their images."""
    origin = dataset.source.ORIGIN
    images = Counter(entry.class_name for entry in index.entries)
    return {
        "name": name,
        "kind": dataset.source.kind,
        "title": origin.title,
        "homepage": origin.homepage,
        "licence": origin.licence,
        "description": _description(dataset),
        "image_size": image_size,
        "labelled": bool(index.classes),
        "images": {split: len(index.split_entries(split)) for split in SPLITS}
        | ({UNLABELLED: some} if (some := len(index.split_entries(UNLABELLED))) else {}),
        "classes": {class_name: images[class_name] for class_name in index.classes},
        "unreadable": len(index.unreadable),
        "index_sha256": index_sha256,
    }


# --- sections ---------------------------------------------------------------------------------


def _origin(dataset: "Dataset") -> str:
    kind = dataset.source.kind
    title, homepage, licence = dataset.source.ORIGIN
    linked = f"[{title}]({homepage})" if homepage else title
    return f"{_description(dataset)} Source `{kind}`: {linked}. Licence: {licence}."


def _description(dataset: "Dataset") -> str:
    return (inspect.getdoc(type(dataset.source)) or "").partition("\n\n")[0]


def _packing(dataset: "Dataset", index: Index, image_size: int) -> str:
    settings = [f"`resize: {dataset.resize}`"]
    for key in ("max_classes", "max_images_per_class"):
        if (limit := getattr(dataset, key)) is not None:
            settings.append(f"`{key}: {limit}`")
    return (
        f"{_count(len(index), 'image')} of {image_size}×{image_size} pixels, packed with "
        f"{', '.join(settings)}."
    )


def _split_table(index: Index) -> str:
    images = [len(index.split_entries(split)) for split in SPLITS]
    body: Rows = [["images", *images, sum(images)]]
    if index.classes:
        present = [len(set(index.labels(split))) for split in SPLITS]
        body.append(["classes", *present, len(set(index.all_labels[index.scored]))])
    return table(["", *SPLITS, "all"], body, "lrrrrr")


def _classes(index: Index) -> Iterable[str]:
    images = Counter((entry.class_name, entry.split) for entry in index.entries)
    shown = {name: [images[name, split] for split in SPLITS] for name in index.classes}
    body: Rows = [[code(name), *counts, sum(counts)] for name, counts in shown.items()]
    train = [counts[0] for counts in shown.values()]
    if len(body) > MANY_CLASSES:
        yield f"{len(body):,} classes; here the {ENDS} largest and the {ENDS} smallest in train."
        order = sorted(range(len(body)), key=lambda label: -train[label])  # equals: by name
        gap: list[int | str] = ["…"] * len(body[0])
        body = [*(body[i] for i in order[:ENDS]), gap, *(body[i] for i in order[-ENDS:])]
    yield table(["class", *SPLITS, "all"], body, "lrrrrr")
    yield _balance(index.classes, train)
    for column, split in enumerate(SPLITS):
        missing = [name for name, counts in shown.items() if not counts[column]]
        if missing:
            names = _few([code(name) for name in missing], MOST_NAMES)
            yield f"{_count(len(missing), 'class')} without an image in {split}: {names}."


def _balance(classes: Sequence[str], train: Sequence[int]) -> str:
    """train: images of each class in the train split."""
    least, most = min(train), max(train)
    if least == most:
        return f"Balanced: each class has {_count(most, 'image')} in train."
    smallest, largest = (code(classes[train.index(extreme)]) for extreme in (least, most))
    shares = np.array([count for count in train if count]) / sum(train)
    effective = math.exp(-(shares * np.log(shares)).sum())
    return (
        f"In train the largest class, {largest}, has {_count(most, 'image')}, the median class "
        f"{_number(np.median(train))}, the smallest, {smallest}, {least:,}; the ratio of largest to "
        f"smallest is {f'{most / least:.2f}' if least else '∞'}. The effective number of classes "
        f"is {effective:,.1f} of {len(classes):,} (the exponential of the entropy of their shares; "
        "all of them if they were balanced)."
    )


def _sizes(index: Index, image_size: int) -> Iterable[str]:
    sizes = np.array([(entry.width, entry.height) for entry in index.entries])
    widths, heights = sizes.T
    if (sizes == sizes[0]).all():
        yield f"All images have {widths[0]:,}×{heights[0]:,} pixels."
    else:
        body = [
            [what, *(_number(value) for value in _quartiles(sides))]
            for what, sides in (("width", widths), ("height", heights))
        ]
        body.append(["width / height", *(f"{v:.2f}" for v in _quartiles(widths / heights))])
        yield table(
            ["", "min", "lower quartile", "median", "upper quartile", "max"], body, "lrrrrr"
        )
    enlarged = int((sizes.min(axis=1) < image_size).sum())
    yield (
        f"Enlarged, as a side is below {image_size} pixels: {_count(enlarged, 'image')} "
        f"({100 * enlarged / len(sizes):.1f} %)."
    )


def _unreadable(index: Index) -> Iterable[str]:
    if not index.unreadable:
        yield "None."
        return
    yield f"{_count(len(index.unreadable), 'image')}, left out of all other numbers on this page."
    shown = index.unreadable[:MOST_UNREADABLE]
    yield table(
        ["image", "reason"],
        [[code(entry.source_name), code(entry.error)] for entry in shown],
        "ll",
    )
    if more := len(index.unreadable) - len(shown):
        yield f"And {more:,} more, see the index."


def _equal(index: Index) -> Iterable[str]:
    same = defaultdict(list)
    for entry in index.entries:
        same[entry.sha256].append(entry)
    groups = [group for group in same.values() if len(group) > 1]
    if not groups:
        yield "None: no two images have the same packed pixels."
        return
    groups.sort(key=lambda group: not _across(group))  # those that matter most are shown first
    yield (
        f"{_count(len(groups), 'group')} of images with the same packed pixels, "
        f"{sum(map(len, groups)):,} images in all; {sum(map(_across, groups)):,} of the groups in "
        "more than one split."
    )
    shown = groups[:MOST_GROUPS]
    body: Rows = [[len(group), _names(group)] for group in shown]
    yield table(["images", "split and name"], body, "rl")
    if more := len(groups) - len(shown):
        yield f"And {_count(more, 'more group')}."


def _across(group: Sequence[Entry]) -> bool:
    return len({entry.split for entry in group}) > 1


def _names(group: Sequence[Entry]) -> str:
    return _few([f"{entry.split} {code(entry.source_name)}" for entry in group], MOST_NAMES)


# --- text -------------------------------------------------------------------------------------


def _few(texts: Sequence[str], most: int) -> str:
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _literal(text: str) -> str:
    """Names in it may hold what Markdown would take for its own."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|$~])", r"\\\1", text)


def _count(number: int, what: str) -> str:
    """1 image, 2 images, 2 classes."""
    plural = "es" if what.endswith("s") else "s"
    return f"{number:,} {what}{'' if number == 1 else plural}"


def _number(value: float) -> str:
    """At most one decimal."""
    return f"{value:,.1f}".removesuffix(".0")


def _quartiles(values: np.ndarray) -> np.ndarray:
    """(N,) → (5,): minimum, quartiles and median, maximum."""
    return np.percentile(values, [0, 25, 50, 75, 100])
