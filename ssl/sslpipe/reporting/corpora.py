"""The page of a corpus: what it holds, and which images were left out because they are scored."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sslpipe.data.duplicates import HELD_OUT, Leak, too_many
from sslpipe.data.index import Index
from sslpipe.reporting.markdown import Rows, code, table

EXAMPLES = 12
"""Of each pair of sets and each kind."""
KINDS = {
    "pixels": "equal pixels",
    "file": "equal files",
    "near": "look the same",
}


def page(
    corpus: Mapping[str, Any],
    left_out: Mapping[str, Sequence[Leak]],
    near_duplicates: int | None,
    indexes: Mapping[str, Index],
) -> str:
    """Markdown. indexes: of all sets that were compared."""
    return "\n".join(
        [
            f"# Corpus {corpus['name']}",
            "",
            f"{corpus['images']} images at {corpus['image_size']} pixels.",
            "",
            _members(corpus, left_out),
            "",
            "## Leakage",
            "",
            _rule(near_duplicates, indexes),
            "",
            *_warnings(corpus, left_out),
            *_found(left_out),
        ]
    )


def _members(corpus: Mapping[str, Any], left_out: Mapping[str, Sequence[Leak]]) -> str:
    rows = []
    for member in corpus["members"]:
        kinds = Counter(leak.kind for leak in left_out[member["dataset"]])
        train = member["images"] + len(left_out[member["dataset"]])
        rows.append([member["dataset"], train, *(kinds[kind] for kind in KINDS), member["images"]])
    return table(["data set", "train images", *KINDS.values(), "left"], rows, "lrrrrr")


def _rule(near_duplicates: int | None, indexes: Mapping[str, Index]) -> str:
    held_out = {
        dataset: sum(len(index.split_entries(split)) for split in HELD_OUT)
        for dataset, index in indexes.items()
        if index.classes
    }
    compared = ", ".join(f"{dataset} ({count})" for dataset, count in held_out.items() if count)
    near = (
        "Images that merely look the same were not searched for (`near_duplicates: null`)."
        if near_duplicates is None
        else f"Two images look the same when their 64-bit perceptual hashes (pHash of the whole image, "
        f"squashed) differ in at most {near_duplicates} bits (`near_duplicates`): the same photograph "
        "at another size, compression or brightness; not one that is mirrored, turned or cut otherwise. "
        "Some pairs are only alike. Images of little contrast have no such hash."
    )
    return (
        "Every training image was compared with the val, public and private images of "
        f"{compared or 'no set'}, and left out of pretraining if it is one of them. {near} "
        "Labelled training images that were left out here still serve k-NN and the probe as examples."
    )


def _warnings(corpus: Mapping[str, Any], left_out: Mapping[str, Sequence[Leak]]) -> Iterator[str]:
    for member in corpus["members"]:
        found = left_out[member["dataset"]]
        if too_many(found, member["images"] + len(found)):
            yield (
                f"**{member['dataset']}: so many images look alike that their hashes may not tell them "
                "apart.** If the examples below show different images, set `near_duplicates` to null "
                "(equal images only) or a smaller number.\n"
            )


def _found(left_out: Mapping[str, Sequence[Leak]]) -> list[str]:
    pairs = Counter(
        (dataset, leak.dataset, leak.held_out.split, leak.kind)
        for dataset, leaks in left_out.items()
        for leak in leaks
    )
    if not pairs:
        return ["None was found.", ""]
    counts: Rows = [
        [dataset, scored, split, *(pairs[dataset, scored, split, kind] for kind in KINDS)]
        for dataset, scored, split in dict.fromkeys(pair[:3] for pair in sorted(pairs))
    ]
    headers = ["training images of", "give away", "split", *KINDS.values()]
    lines = [table(headers, counts, "lllrrr"), "", "Examples:", ""]
    rows = []
    for dataset, leaks in left_out.items():
        shown: Counter[tuple[str, str]] = Counter()
        for leak in leaks:
            shown[leak.dataset, leak.kind] += 1
            if shown[leak.dataset, leak.kind] <= EXAMPLES:
                rows.append(
                    [
                        f"{dataset}: {code(leak.image.source_name)}",
                        f"{leak.dataset} {leak.held_out.split}: {code(leak.held_out.source_name)}",
                        KINDS[leak.kind] + (f", {leak.bits} bits" if leak.kind == "near" else ""),
                    ]
                )
    headers = ["training image", "held-out image", "how"]
    lines += [table(headers, rows, "lll"), ""]
    return lines
