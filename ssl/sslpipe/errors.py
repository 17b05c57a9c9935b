"""The one exception that is shown to users as a plain line instead of a traceback."""


class UserError(Exception):
    """Something the user can mend. The message says what, where, and what to do."""
