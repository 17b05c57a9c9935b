"""Random streams named by what they are for, so that none depends on how much another drew."""

import hashlib

import torch


def seed_of(*key: int | str) -> int:
    """A 63-bit seed from any key, the same on every machine and Python."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(*key: int | str) -> torch.Generator:
    """A CPU generator seeded by `key`."""
    return torch.Generator().manual_seed(seed_of(*key))
