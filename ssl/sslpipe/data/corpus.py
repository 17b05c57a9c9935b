"""Pretraining corpora: the train rows of packed sets, less what gives a held-out image away."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sslpipe.data.duplicates import Leak, leaks
from sslpipe.data.index import Entry, Index
from sslpipe.data.splits import UNLABELLED
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
        index = indexes[dataset]
        rows, unlabelled = index.split_slice("train"), index.split_slice(UNLABELLED)
        train = trained_on(index)
        left_out[dataset] = leaks(train, indexes, near_duplicates)
        member: dict[str, Any] = {
            "dataset": dataset,
            "rows": [rows.start, rows.stop],
            "excluded": [leak.image.row for leak in left_out[dataset]],
            "images": len(train) - len(left_out[dataset]),
            "index_sha256": hashes[dataset],
        }
        if unlabelled.stop > unlabelled.start:
            member["unlabelled"] = [unlabelled.start, unlabelled.stop]
        described.append(member)
    images = sum(member["images"] for member in described)
    if images == 0:
        lost = sum(map(len, left_out.values()))
        why = f": all {lost} equal a val, public or private image, or look like one" if lost else ""
        raise UserError(f"corpora.{name}: no training image in {', '.join(members)}{why}")
    content = {
        "name": name,
        "image_size": image_size,
        "images": images,
        "members": described,
        "watched": [_watched(dataset, indexes[dataset], hashes[dataset]) for dataset in watched],
    }
    return content, left_out


def _watched(dataset: str, index: Index, index_sha256: str) -> dict[str, Any]:
    """left_out: the rows that are no examples, if there are any."""
    left_out = {"left_out": list(index.left_out)} if index.left_out else {}
    return {"dataset": dataset, "index_sha256": index_sha256, **left_out}


def trained_on(index: Index) -> tuple[Entry, ...]:
    """A set's images that a corpus may hold: its train split, and images without labels beside it."""
    return index.split_entries("train") + index.split_entries(UNLABELLED)


def _row_ranges(member: Mapping[str, Any]) -> list[list[int]]:
    return [member["rows"], *([member["unlabelled"]] if "unlabelled" in member else [])]


def corpus_rows(corpus: Mapping[str, Any]) -> list[tuple[str, np.ndarray]]:
    """(data set, ascending int64 rows of its packed images), without members that have none."""
    rows = []
    for member in corpus["members"]:
        train = [np.arange(*rows, dtype=np.int64) for rows in _row_ranges(member)]
        kept = np.setdiff1d(np.concatenate(train), np.array(member["excluded"], dtype=np.int64))
        if len(kept):
            rows.append((member["dataset"], kept))
    return rows
