"""Pretraining corpora: the train rows of packed sets, less what gives a held-out image away."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sslpipe.data.duplicates import Leak, leaks
from sslpipe.data.index import Index
from sslpipe.errors import UserError


def datasets_read(
    members: Iterable[str], leaderboard: Iterable[str], watched: Iterable[str]
) -> list[str]:
    """The sets whose indexes decide a corpus, each once: its own, the scored, the watched."""
    return list(dict.fromkeys([*members, *leaderboard, *watched]))


def compose(
    name: str,
    image_size: int,
    members: Iterable[str],
    watched: Iterable[str],
    indexes: Mapping[str, Index],
    hashes: Mapping[str, str],
    near_duplicates: int | None,
) -> tuple[dict[str, Any], dict[str, list[Leak]]]:
    """The corpus as JSON, and what was left out of each member.

    indexes: of all of `datasets_read`; hashes: sha256 of the index files. A train image is
    excluded when its pixels or its file equal those of a held-out image of any of these sets, or
    when the perceptual hashes differ in at most `near_duplicates` bits (None: only equal ones).
    Raises UserError when no image is left.
    """
    described = []
    left_out = {}
    for dataset in members:
        rows = indexes[dataset].split_slice("train")
        train = indexes[dataset].split_entries("train")
        left_out[dataset] = leaks(train, indexes, near_duplicates)
        described.append(
            {
                "dataset": dataset,
                "rows": [rows.start, rows.stop],
                "excluded": [leak.image.row for leak in left_out[dataset]],
                "images": len(train) - len(left_out[dataset]),
                "index_sha256": hashes[dataset],
            }
        )
    images = sum(member["images"] for member in described)
    if images == 0:
        raise UserError(f"corpora.{name}: no training image in {', '.join(members)}")
    content = {
        "name": name,
        "image_size": image_size,
        "images": images,
        "members": described,
        "watched": [{"dataset": dataset, "index_sha256": hashes[dataset]} for dataset in watched],
    }
    return content, left_out


def corpus_rows(corpus: Mapping[str, Any]) -> list[tuple[str, np.ndarray]]:
    """(data set, ascending int64 rows of its packed images), without members that have none."""
    rows = []
    for member in corpus["members"]:
        train = np.arange(*member["rows"], dtype=np.int64)
        kept = np.setdiff1d(train, np.array(member["excluded"], dtype=np.int64))
        if len(kept):
            rows.append((member["dataset"], kept))
    return rows
