"""The exceptions that are shown to users as a plain line instead of a traceback."""

import signal
from collections.abc import Iterable

# EX_TEMPFAIL of sysexits.h: "try again", the code that a scheduler is told to requeue (RequeueExit).
TRY_AGAIN = 75


class UserError(Exception):
    """Something the user can mend. The message says what, where, and what to do."""


def few(names: Iterable[str], most: int = 5) -> str:
    """The first of some names, sorted, in a message."""
    names = sorted(names)
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


class Interrupted(Exception):
    """A signal asked the work to stop; its state has been saved.

    The exit code is 128 + n as after any signal n; TRY_AGAIN after SIGUSR1, by which a scheduler
    tells that a job's time is nearly over.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {number}")
        self.exit_code = TRY_AGAIN if number == signal.SIGUSR1 else 128 + number
