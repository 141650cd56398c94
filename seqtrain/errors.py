"""Errors that a user can mend: the command line prints them as one line and exits with code 1."""

import signal


class UserError(Exception):
    """Something the user gave is wrong: names the key or file, the value, what is allowed and the remedy."""


class ConfigError(UserError):
    """A key or value of the configuration is wrong."""


class DataError(UserError):
    """A data file or its contents cannot be used."""


class RunError(UserError):
    """A run directory or a checkpoint in it cannot be used."""


class Pruned(Exception):
    """The study that a run is a trial of gives it up: no error, but the run ends here."""


class Interrupted(BaseException):
    """A signal asked the program to end; like KeyboardInterrupt it passes by those who catch errors.

    Args:
        number: of the signal.
        orderly: whether it was awaited, where all is in order and can be saved.
    """

    def __init__(self, number: int, orderly: bool = False):
        super().__init__(signal.Signals(number).name)
        self.number, self.orderly = number, orderly
        self.exit_code = 128 + number
        """As a shell has it: 130 for Ctrl-C, 143 for SIGTERM."""

    def add(self, what: str) -> None:
        """Add what a user should know of the work so far."""
        self.args = (f"{self.args[0]}; {what}",)
