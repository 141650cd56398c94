"""Errors that a user can correct: the command line prints them as one line and exits with code 1."""

import signal


class UserError(Exception):
    """Wrong input of the user. The message names the key or file, its value, what is allowed and the remedy."""


class ConfigError(UserError):
    """A configuration key or value is wrong."""


class DataError(UserError):
    """A data file or its content cannot be used."""


class RunError(UserError):
    """A run directory or one of its checkpoints cannot be used."""


class PrintError(UserError):
    """stdout cannot be written. The cause is a BrokenPipeError if its reader, such as ``head``, has ended."""


class Pruned(Exception):
    """The study ends this run early. This is not an error."""


class Interrupted(BaseException):
    """A signal asked the program to end. Like KeyboardInterrupt, ``except Exception`` does not catch it.

    Args:
        number: of the signal.
        orderly: raised at a point where the run could be saved.
    """

    def __init__(self, number: int, orderly: bool = False):
        super().__init__(signal.Signals(number).name)
        self.number, self.orderly = number, orderly
        self.exit_code = 128 + number
        """Exit code as in a shell: 130 for Ctrl-C, 143 for SIGTERM."""

    def add(self, what: str) -> None:
        """Append to the message what the user should know about the work so far."""
        self.args = (f"{self.args[0]}; {what}",)
