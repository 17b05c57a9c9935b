"""Pretraining corpora: the train rows of packed sets, less what equals a held-out image."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sslpipe.data.index import Index
from sslpipe.errors import UserError

HELD_OUT = ("val", "public", "private")


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
) -> dict[str, Any]:
    """The corpus as JSON.

    indexes: of all of `datasets_read`; hashes: sha256 of the index files. A train image is
    excluded when its pixels or its file equal those of a held-out image of any of these sets.
    Raises UserError when no image is left.
    """
    # Pixels alone miss a file that two sets resize differently; files alone, another encoding.
    held_out = {
        sha256
        for index in indexes.values()
        for split in HELD_OUT
        for entry in index.split_entries(split)
        for sha256 in (entry.sha256, entry.file_sha256)
    }
    described = []
    for dataset in members:
        rows = indexes[dataset].split_slice("train")
        train = indexes[dataset].split_entries("train")
        excluded = [
            entry.row
            for entry in train
            if not held_out.isdisjoint((entry.sha256, entry.file_sha256))
        ]
        described.append(
            {
                "dataset": dataset,
                "rows": [rows.start, rows.stop],
                "excluded": excluded,
                "images": len(train) - len(excluded),
                "index_sha256": hashes[dataset],
            }
        )
    images = sum(member["images"] for member in described)
    if images == 0:
        raise UserError(f"corpora.{name}: no training image in {', '.join(members)}")
    return {
        "name": name,
        "image_size": image_size,
        "images": images,
        "members": described,
        "watched": [{"dataset": dataset, "index_sha256": hashes[dataset]} for dataset in watched],
    }


def corpus_rows(corpus: Mapping[str, Any]) -> list[tuple[str, np.ndarray]]:
    """(data set, ascending int64 rows of its packed images), without members that have none."""
    rows = []
    for member in corpus["members"]:
        train = np.arange(*member["rows"], dtype=np.int64)
        kept = np.setdiff1d(train, np.array(member["excluded"], dtype=np.int64))
        if len(kept):
            rows.append((member["dataset"], kept))
    return rows
