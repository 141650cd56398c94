"""Arguments of the commands that start from a run: their own keys, taken literally, and overrides of its config."""

from collections.abc import Callable, Sequence
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqtrain.cli.given import check_own, parse
from seqtrain.cli.head_start import start_kernels
from seqtrain.cli.key_search import all_keys, no_such_key
from seqtrain.config import loading
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError
from seqtrain.runs.directory import RunDirectory

Parsers = dict[str, Callable[[str], Any]]


def parse_bool(value: str) -> bool:
    """True or false."""
    if value.lower() not in ("true", "false"):
        raise ValueError
    return value.lower() == "true"


def parsed(key: str, value: str, kind: Callable[[str], Any]) -> Any:
    """A value of the command line as a number, or as true or false."""
    try:
        return kind(value)
    except ValueError:
        names = {int: "a whole number", float: "a number", parse_bool: "true or false"}
        raise ConfigError(f"{key}={value}: must be {names[kind]}") from None


def split_arguments(
    arguments: Sequence[str], *required: str, **optional: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Separate a command's own key=value pairs, whose values are taken literally, from overrides of the config."""
    literal: dict[str, str | None] = dict(optional)
    overrides = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or argument.startswith("-"):
            raise ConfigError(
                f"{argument}: expected key=value; keys: {', '.join([*required, *optional])}, data.*, device"
            )
        if key in required or key in optional:
            literal[key] = value
        else:
            overrides.append(argument)
    check_own(overrides, [*required, *optional])
    for key in required:
        if not literal.get(key):
            raise ConfigError(f"{key}: must be given, as {key}=...")
    return literal, overrides


def run_config(run: RunDirectory, overrides: list[str]) -> tuple[Config, Config]:
    """A run's saved configuration, as it was and with overrides applied under the same schemas."""
    tree = loading.from_yaml(run.config_path)
    saved = loading.to_config(tree)
    for override in parse(overrides):
        key = override.key_or_group
        if key in loading.GROUPS:
            raise ConfigError(f"{key}=...: a run keeps its own {key}; give single keys, as {key}.key=value")
        try:
            OmegaConf.update(tree, key, override.value(), merge=True)
        except OmegaConfBaseException as error:
            explained = loading.explain(error)
            if isinstance(explained, loading.UnknownKey):
                value = str(override.input_line).partition("=")[2]
                raise ConfigError(no_such_key(key, value, all_keys(saved)) or str(explained)) from error
            raise explained from error
    config = loading.to_config(tree)
    start_kernels(config)
    return saved, config
