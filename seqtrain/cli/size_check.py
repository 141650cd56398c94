"""What cannot stand beside ``size=`` on the command line, since one of the two would have no effect."""

from collections.abc import Sequence

from seqtrain.cli.sweep_arguments import key_of
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError

DECIDE_TOO = ("trainer", "experiment", "hparams_search")
"""Groups whose options set what ``size`` sets."""


def check_groups(arguments: Sequence[str]) -> None:
    """Refuse an option of a group that decides what ``size`` decides. Single keys are welcome: they win over ``size``.

    Args:
        arguments: of the command line.

    Raises:
        ConfigError: for the first such option.
    """
    given = {key_of(argument): argument for argument in arguments if "=" in argument}
    if given.get("size", "size=none") == "size=none":
        return
    for group in DECIDE_TOO:
        if group in given:
            raise ConfigError(
                f"{given['size']} {given[group]}: both decide how a model is trained; leave one out, and change single "
                "keys"
            )


def check_width(config: Config, overrides: Sequence[str]) -> None:
    """Refuse a width beside a ``size``, which finds the width itself.

    Args:
        config: the composed configuration.
        overrides: of its command line.

    Raises:
        ConfigError: for the first width that is given.
    """
    given = {key_of(override): override for override in overrides}
    if config.size is None or "budget.params" in given:
        return
    for key in config.model.widths(causal=False):
        if (width := given.get(f"model.{key}")) is not None:
            raise ConfigError(
                f"{width}: size={config.size} finds this width itself; leave one out, or add budget.params=null to "
                "keep the width and take the rest of the size"
            )
