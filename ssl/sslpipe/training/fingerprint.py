"""What a training's weights follow from. Imports no torch: `status` and `doctor` ask for it too."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import sslpipe
from sslpipe.schema import ResolvedRun

# The rooms of the package that a trained weight depends on.
CODE = ("networks", "views", "methods", "training", "seeds.py")
MADE_OF = "made_of.json"
"""Beside a state's checkpoints: the hashes of its parts."""


class Parts(NamedTuple):
    """A hash of each."""

    settings: str
    corpus: str
    code: str


def parts_of(run: ResolvedRun, corpus: bytes) -> Parts:
    """corpus: the file, with its content hashes."""
    return Parts(_digest(_settings(run)), _digest(corpus), code_version())


def fingerprint(run: ResolvedRun, corpus: bytes) -> str:
    """Of parameters, corpus and code together."""
    return _digest(b"\0".join((_settings(run), corpus, code_version().encode())))


def _settings(run: ResolvedRun) -> bytes:
    settings = run.model_dump(mode="json")
    for key in ("checkpoint_minutes", "gpus", "compile"):  # change at most the last bits
        settings["pretrain"].pop(key)
    settings["pretrain"]["views"].pop("workers")
    return json.dumps(settings, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def code_version() -> str:
    """sha256 of the modules that training runs through."""
    root = Path(sslpipe.__file__).parent
    digest = hashlib.sha256()
    for room in map(root.joinpath, CODE):
        for path in sorted(room.rglob("*.py")) if room.is_dir() else [room]:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
