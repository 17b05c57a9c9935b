"""The resumable state of a run, kept where neither engine looks."""

import hashlib
import json
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

import sslpipe
from sslpipe.errors import UserError
from sslpipe.files import write_with
from sslpipe.schema import ResolvedRun

# The rooms of the package that a trained weight depends on.
CODE = ("networks", "views", "methods", "training", "seeds.py")


def fingerprint(run: ResolvedRun, corpus: bytes) -> str:
    """What the weights follow from: parameters, corpus file (with its content hashes) and code."""
    settings = run.model_dump(mode="json")
    for key in ("checkpoint_minutes", "gpus", "compile"):  # change at most the last bits
        settings["pretrain"].pop(key)
    settings["pretrain"]["views"].pop("workers")
    parts = (json.dumps(settings, sort_keys=True).encode(), corpus, code_version().encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def code_version() -> str:
    """sha256 of the modules that training runs through."""
    root = Path(sslpipe.__file__).parent
    digest = hashlib.sha256()
    for room in map(root.joinpath, CODE):
        for path in sorted(room.rglob("*.py")) if room.is_dir() else [room]:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


class RunState:
    """`<state>/<run>/<fingerprint>/checkpoint.pt`, held by one training at a time.

    lead: the first of the training's ranks holds and writes it; the others only read.
    Raises UserError if another training holds the run.
    """

    def __init__(self, folder: Path, fingerprint: str, *, lead: bool = True) -> None:
        self.folder, self.lead = folder, lead
        self.path = folder / fingerprint / "checkpoint.pt"
        self.history = folder / fingerprint / "history.csv"
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(folder.with_suffix(".lock"))

    def __enter__(self) -> "RunState":
        if not self.lead:
            return self
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"{self.folder}: another process is training this run; wait for it or stop it"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def save(self, state: dict[str, Any]) -> None:
        try:
            write_with(self.path, lambda file: torch.save(state, file))
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # what torch hides, such as a full disk
                raise error.__context__ from None
            raise

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The last saved state, or None. Loads tensors and plain values only, never code."""
        if not self.path.exists():
            return None
        return torch.load(self.path, map_location=device, weights_only=True)

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Around `load` and what takes the state up: raises UserError for a damaged one."""
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except (
            RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError, OSError,
            pickle.UnpicklingError,
        ) as error:  # fmt: skip
            reason = (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0]
            raise UserError(
                f"{self.path}: damaged checkpoint ({reason}); "
                f"delete it to train from the start: rm -r {self.folder}"
            ) from None

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
