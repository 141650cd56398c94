"""Arguments of the commands that start from a run: their own keys, taken literally, and overrides of its config.

The value of a command's own key is the text after the equals sign: quotes, commas and further equals signs belong to
it, and it may not be empty. An override is read by Hydra's grammar, as in training: ``key=`` is an empty text and
``key=null`` is null. Of a key that is given twice the last value counts. A run's configuration has all its keys: so
``+key=`` and ``++key=`` mean ``key=``, and nothing can be taken out of it by ``~key``.
"""

from collections.abc import Callable, Collection, Sequence
from math import isfinite
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
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


def whole_number(value: str) -> int:
    """An integer of at most 64 bits."""
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError
    return number


def finite_number(value: str) -> float:
    """A number that is neither infinite nor NaN."""
    number = float(value)
    if not isfinite(number):
        raise ValueError
    return number


KINDS: dict[Callable[[str], Any], str] = {
    whole_number: "a whole number of at most 64 bits",
    finite_number: "a finite number",
}
KINDS |= {parse_bool: "true or false"}


def parsed(key: str, value: str, kind: Callable[[str], Any]) -> Any:
    """A value of the command line as a number, or as true or false.

    Raises:
        ConfigError: if it is not of that kind.
    """
    try:
        return kind(value)
    except ValueError:
        raise ConfigError(f"{key}={value:.40}: must be {KINDS[kind]}") from None


def own_values(arguments: Sequence[str], own: Collection[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The values of a command's own keys, each as it was typed, and the other arguments.

    Args:
        arguments: what follows the command.
        own: the command's keys.

    Returns:
        Key -> its values in the order given; and the arguments that are not among ``own``.

    Raises:
        ConfigError: if a value is empty, or a key has one of Hydra's signs before it.
    """
    values: dict[str, list[str]] = {}
    others = []
    for argument in arguments:
        written, equals, value = argument.partition("=")
        key = written.lstrip("+~")
        if key not in own or (not equals and key == written):
            others.append(argument)
        elif key != written:
            raise ConfigError(f"{argument}: {key} is the command's own; write it as {key}=..., or leave it out")
        elif not value:
            raise ConfigError(f"{key}=: has no value; give one, or leave {key} out")
        else:
            values.setdefault(key, []).append(value)
    return values, others


def split_arguments(
    arguments: Sequence[str], *required: str, **optional: str | None
) -> tuple[dict[str, Any], list[Override]]:
    """Separate a command's own key=value pairs, see ``own_values``, from overrides of the config.

    Args:
        arguments: what follows the command.
        required: keys that must be given.
        optional: the command's other keys with their defaults.

    Returns:
        The value of each of the command's keys, the last one where it is given twice; and the overrides.

    Raises:
        ConfigError: if a required key is absent, or an argument is neither.
    """
    own = [*required, *optional]
    values, others = own_values(arguments, own)
    for argument in others:
        if argument.startswith("-") or ("=" not in argument and not argument.startswith("~")):
            raise ConfigError(f"{argument}: expected key=value; keys: {', '.join(own)}, data.*, device")
    check_own(others, own)
    for key in required:
        if key not in values:
            raise ConfigError(f"{key}: must be given, as {key}=...")
    return optional | {key: given[-1] for key, given in values.items()}, changes(others)


def changes(arguments: Sequence[str]) -> list[Override]:
    """Overrides that each give one key of a run's configuration one value.

    Raises:
        ConfigError: if one cannot be read, has several values, takes a key out, or moves it to another package.
    """
    overrides = parse(arguments)
    for override in overrides:
        key = override.key_or_group
        if override.is_delete():
            raise ConfigError(f"{override.input_line}: no key can be taken out; give it another value")
        if override.package is not None:
            raise ConfigError(f"{override.input_line}: a run has no packages; write {key}=...")
    return overrides


def gives(overrides: Sequence[Override], key: str) -> bool:
    """Whether overrides give a key a value."""
    return any(override.key_or_group == key for override in overrides)


def run_config(run: RunDirectory, overrides: Sequence[Override]) -> tuple[Config, Config]:
    """A run's saved configuration, as it was and with overrides applied under the same schemas.

    Raises:
        ConfigError: for a key that does not exist, a whole group, or a value of the wrong type.
    """
    tree = loading.from_yaml(run.config_path)
    saved = loading.to_config(tree)
    for override in overrides:
        key = override.key_or_group
        if isinstance(tree.get(key), DictConfig):
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
