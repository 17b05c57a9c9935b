"""The resumable state of a run, kept where neither engine looks."""

import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from sslpipe.errors import UserError
from sslpipe.io.files import Hashed, atomic, sha256, write_json
from sslpipe.io.progress import say
from sslpipe.provenance.record import MADE_OF, Record


class RunState:
    """`<state>/<run>/<fingerprint>/step-<step>-<sha256>.pt`, the last two, held by one training at a
    time.

    lead: the first of the training's ranks holds and writes them; the others only read.
    Raises UserError if another training holds them.
    """

    def __init__(
        self, folder: Path, fingerprint: str, *, made_of: Record | None = None, lead: bool = True
    ) -> None:
        """made_of: what the fingerprint is of, for telling later what has changed."""
        self.folder, self.lead = folder / fingerprint, lead
        self.history = self.folder / "history.csv"
        self.folder.mkdir(parents=True, exist_ok=True)
        if made_of is not None and lead:
            write_json(self.folder / MADE_OF, made_of)
        self.lock = FileLock(self.folder.with_suffix(".lock"))

    def __enter__(self) -> "RunState":
        if not self.lead:
            return self
        try:
            self.lock.acquire(timeout=1)  # someone may look at the lock just now
        except Timeout:
            raise UserError(
                f"{self.folder}: another process is training this run; wait for it or stop it"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def save(self, state: dict[str, Any]) -> None:
        unnamed = self.folder / "checkpoint.part"
        try:
            with atomic(unnamed) as file:
                hashed = Hashed(file)
                torch.save(state, hashed)  # type: ignore[arg-type] # all it asks for is `write`
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # what torch hides, such as a full disk
                raise error.__context__ from None
            raise
        step = f"step-{state['step']:09}"
        before = [path for path in self.checkpoints() if not path.name.startswith(step)]
        new = self.folder / f"{step}-{hashed.digest.hexdigest()[:16]}.pt"
        unnamed.replace(new)
        for path in self.checkpoints():
            if path not in (new, *before[:1]):
                path.unlink()

    def checkpoints(self) -> list[Path]:
        """The latest first."""
        return sorted(self.folder.glob("step-*-*.pt"), reverse=True)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The last saved state that is whole, or None where none was saved. Loads tensors and plain
        values only, never code.

        Raises UserError when all that were saved are damaged.
        """
        found, bad = self.checkpoints(), []
        for path in found:
            if reason := _damage(path):
                say(f"{path}: damaged checkpoint ({reason}); looking for the one before")
                bad.append(path)
                continue
            for damaged in bad if self.lead else ():  # else it would count as one of the last two
                damaged.unlink(missing_ok=True)
            with self._readable(path):
                return torch.load(path, map_location=device, weights_only=True)
        if found:
            raise UserError(
                f"{self.folder}: every checkpoint is damaged; "
                f"delete them to train from the start: rm -r {self.folder}"
            )
        return None

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Around what takes up a state: raises UserError for one that does not fit."""
        with self._readable(next(iter(self.checkpoints()), self.folder)):
            yield

    @contextmanager
    def _readable(self, path: Path) -> Iterator[None]:
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
                f"{path}: damaged checkpoint ({reason}); "
                f"delete it to train from the start: rm -r {self.folder}"
            ) from None

    def clear(self) -> None:
        """Remove it, when the training is finished; states of other parameters stay."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.with_suffix(".lock").unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.parent.rmdir()


def _damage(path: Path) -> str | None:
    """What is wrong with a checkpoint, going by the checksum in its name; None for a whole one."""
    try:
        whole = sha256(path).startswith(path.stem.rpartition("-")[2])
    except OSError as error:
        return error.strerror
    return None if whole else "not what was written"
