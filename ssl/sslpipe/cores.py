"""The processor's cores."""

import os


def usable_cores() -> list[int]:
    """The cores that this process may use; macOS only tells how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
