"""Which scores a file of answers belongs to: it holds a checksum of those beside it."""

from typing import Any

from sslpipe.io.files import digest

CHECKSUM = "scores_sha256"


def checksum(scores: dict[str, Any]) -> str:
    """Of a cell's flat scores; not of times, so that the same answers are always the same bytes."""
    return digest({key: value for key, value in scores.items() if not key.endswith("_seconds")})
