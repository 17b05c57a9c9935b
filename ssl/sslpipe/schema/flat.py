"""Resolved settings as flat keys."""

from collections.abc import Iterator, Mapping
from typing import Any

Flat = dict[str, Any]


def flat(made: Mapping[str, Any]) -> Flat:
    """A training report's resolved parameters, as keys that a run of params.yaml may override.

    As in {"method": "moco", "backbone": …, "corpus": …, "image_size": …, "lr": …,
    "projector.output": …, "epochs": …, "views.local": …, "seed": …}; a list is a value.
    """
    parameters = dict(made["parameters"])
    nested = {**parameters.pop("settings"), **parameters.pop("pretrain"), **parameters}
    return dict(leaves(nested))


def leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Of nested dictionaries, with keys like `probe.epochs`; a list is a leaf."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from leaves(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner
