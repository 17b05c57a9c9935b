"""How a run was trained, in words: what differs from the defaults, what it took, what made it.

Pure functions of a training report (`Results.pretrain`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sslpipe.reporting.settings import Flat, effective, flat
from sslpipe.reporting.words import duration, value_in_words
from sslpipe.schema.runs import METHOD_SETTINGS
from sslpipe.schema.training import Online, Pretrain

Made = Mapping[str, Any]

# What a run is, rather than how it is set.
IDENTITY = ("method", "backbone", "corpus", "image_size", "seed")


def changed(made: Made) -> Flat:
    """The run's settings that differ from the schema's defaults, as flat keys in alphabetical order;
    neither its identity nor what has no effect on what is learnt."""
    usual = {
        "settings": METHOD_SETTINGS[made["method"]]().model_dump(mode="json"),
        "pretrain": Pretrain(online=Online(datasets=[])).model_dump(mode="json"),
    }
    defaults = flat({"parameters": usual})
    return {
        key: value
        for key, value in sorted(effective(made).items())
        if key not in IDENTITY and value != defaults.get(key)
    }


def as_set(settings: Mapping[str, Any]) -> str:
    """Settings as a run of params.yaml would give them: `lr 0.001, views.local 2`."""
    return ", ".join(f"{key} {value_in_words(value)}" for key, value in settings.items())


def in_short(made: Made) -> str:
    """`moco, resnet18 at 32 px, corpus base`."""
    size = made["parameters"]["image_size"]
    if made["backbone"] == "pixels":
        return f"raw pixels of images of {size} px"
    network = f"{made['backbone']} at {size} px"
    if not made["trained"]:
        return f"{network}, not trained"
    return f"{made['method']}, {network}, corpus {made['corpus']}"


def cost(made: Made) -> dict[str, str]:
    """What a training took: label → words. Empty for what was not trained."""
    if not made["trained"]:
        return {}
    speed, seconds = made["images_per_s"], made["train_seconds"]
    devices = f"{made['gpus']} × " if made["gpus"] > 1 else ""
    words = {
        "images": f"{made['images']:,}",
        "epochs": f"{made['epochs']:,} ({made['steps']:,} steps)",
        "time": duration(seconds) + (f", {speed:,.0f} images/s" if speed is not None else ""),
        "device": f"{devices}{made['device']}, {made['precision']}",
        "memory": f"{made['peak_memory_bytes'] / 2**30:.1f} GiB at most",
    }
    if made["mfu"] is not None:
        words["utilisation"] = f"{100 * made['mfu']:.0f} % of the device's floating-point speed"
    if made["energy_joules"] is not None:
        words["energy"] = f"{made['energy_joules'] / 3600:,.1f} Wh"
    if made["resumed"]:
        words["resumed"] = f"{made['resumed']} times from a checkpoint"
    return words | {"final loss": f"{made['final_loss']:.3f}"}


def origin(made: Made) -> dict[str, str]:
    """What made it: label → words."""
    versions = dict(made["versions"])
    words = {"made by": f"sslpipe {versions.pop('sslpipe')}, code {versions.pop('code')}"}
    words["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    words["corpus sha256"] = made["inputs"]["corpus_sha256"]
    return words | {"finished": made["finished"]}
