"""Errors that a user can mend: the command line prints them as one line and exits with code 1."""


class UserError(Exception):
    """Something the user gave is wrong: names the key or file, the value, what is allowed and the remedy."""


class ConfigError(UserError):
    """A key or value of the configuration is wrong."""


class DataError(UserError):
    """A data file or its contents cannot be used."""


class RunError(UserError):
    """A run directory or a checkpoint in it cannot be used."""
