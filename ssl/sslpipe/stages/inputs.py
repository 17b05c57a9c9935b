"""Checks of a stage's inputs, and what several stages read."""

from pathlib import Path

from sslpipe.errors import UserError


def require(path: Path, made_by: str) -> Path:
    """`path` if it exists. Raises UserError naming the command that makes it."""
    if not path.exists():
        raise UserError(f"{path}: missing; it is made by: {made_by}")
    return path
