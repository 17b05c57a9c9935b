"""How runs differ: their resolved settings as flat keys, and runs that repeat one another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sslpipe.schema.flat import Flat, flat

# What does not change what is learnt, or only its last bits.
WITHOUT_EFFECT = (
    "checkpoint_minutes", "compile", "deterministic", "gpus", "name", "online", "threads",
    "views.workers",
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """Runs that differ in nothing but their seed. Its name is that of the first of them."""

    name: str
    runs: tuple[str, ...]


def effective(made: Mapping[str, Any]) -> Flat:
    """`flat` without what has no effect on what is learnt. Of an encoder that was not trained:
    what it is, and its seed."""
    keys = flat(made)
    if not keys["views.local"]:  # nothing is drawn by these
        keys = {key: value for key, value in keys.items() if not key.startswith("views.local_")}
    if not made["trained"]:
        return {key: keys[key] for key in ("method", "backbone", "image_size", "seed", "stem")}
    return {
        key: value
        for key, value in keys.items()
        if not any(key == name or key.startswith(f"{name}.") for name in WITHOUT_EFFECT)
    }


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """Keys of `effective` in which two training reports differ."""
    a, b = effective(one), effective(other)
    return {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}


def settings(pretrain: Mapping[str, Mapping[str, Any]]) -> list[Setting]:
    """The runs of `pretrain` (run → training report), those that repeat one another together.

    A corpus whose images have changed makes another setting, and so does a seed that its setting has
    already: the same training again shows nothing of other seeds.
    """
    groups: dict[str, list[str]] = {}
    for run, made in pretrain.items():
        keys = effective(made)
        seed = keys.pop("seed")
        images = made["inputs"]["corpus_sha256"] if made["trained"] else None
        alike = json.dumps([keys, images], sort_keys=True)
        while any(
            pretrain[r]["parameters"]["pretrain"]["seed"] == seed for r in groups.get(alike, ())
        ):
            alike += "again"
        groups.setdefault(alike, []).append(run)
    return [Setting(runs[0], tuple(runs)) for runs in groups.values()]


def is_baseline(made: Mapping[str, Any]) -> bool:
    """Is it the untrained encoder, or raw pixels without an encoder?"""
    return made["method"] == "random" or made["backbone"] == "pixels"
