"""The one exception that is shown to users as a plain line instead of a traceback."""


class UserError(Exception):
    """Something the user can mend. The message says what, where, and what to do."""


class Interrupted(Exception):
    """A signal asked the work to stop; its state has been saved."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {number}")
        self.exit_code = 128 + number
