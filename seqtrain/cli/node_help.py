"""``seqtrain --help <node>``: the keys of a node of the configuration, with type, value and description."""

import inspect
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

from seqtrain.cli.descriptions import Key, keys_of
from seqtrain.cli.hydra_setup import composed_config, conf_directory, option_names
from seqtrain.cli.key_search import all_keys, did_you_mean, nearest
from seqtrain.cli.overview import GROUPS, WIDTH
from seqtrain.config import registry
from seqtrain.errors import ConfigError

RECIPES = ("experiment", "hparams_search", "size")
"""Groups whose options are shown as their YAML files."""


def describe(arguments: Sequence[str]) -> str:
    """What the help says of nodes and keys.

    Args:
        arguments: ``model``, ``model.gru_attn``, ``model.gru_attn.embedding``, ``trainer.lr``, ``size.base``;
            beside them group=option and key=value, for the configuration whose values are shown. Without a node, those
            that group=option and key=value name.

    Raises:
        ConfigError: if there is no such node; names the nearest.
    """
    overrides = [argument for argument in arguments if "=" in argument]
    nodes = [argument for argument in arguments if "=" not in argument]
    nodes = nodes or list(dict.fromkeys(override.partition("=")[0].lstrip("+") for override in overrides))
    return "\n\n".join(describe_node(node, overrides) for node in nodes)


def describe_node(name: str, overrides: Sequence[str]) -> str:
    """What the help says of one node or key."""
    first, _, rest = name.partition(".")
    option, _, inner = rest.partition(".")
    if option in option_names(first):
        if first in RECIPES:
            return recipe(first, option)
        overrides, name = [*overrides, f"{first}={option}"], f"{first}.{inner}".rstrip(".")
    elif first in RECIPES and not rest:
        return f"{first}: one of {', '.join(option_names(first))}; seqtrain --help {first}.<option> shows what it sets"
    # A mandatory value that is missing stays in the objects as "???".
    config = composed_config(overrides)
    known = set(all_keys(config))
    if name not in known:
        choices = (f"{group}.{each}" for group in GROUPS for each in option_names(group))
        near = nearest(name, known) or nearest(name, choices)
        hint = did_you_mean(near) if near else f"known: {', '.join(GROUPS)}"
        raise ConfigError(f"--help {name}: no such node or key; {hint}")
    parent, _, key_name = name.rpartition(".")
    owner = descend(config, parent)
    (key,) = [key for key in keys_of(owner) if key.name == key_name]
    return (
        node_text(name, key, has_options=name in (*GROUPS, "task"))
        if key.node is not None
        else "\n".join(key_lines(parent, key))
    )


def descend(config: Any, path: str) -> Any:
    """The node at a dotted path."""
    for name in path.split(".") if path else ():
        config = getattr(config, name)
    return config


def recipe(group: str, option: str) -> str:
    """The YAML file of an experiment, a search or a size: it says itself what it sets."""
    folders = [
        folder for folder in [conf_directory(), *registry.FOLDERS] if (folder / group / f"{option}.yaml").is_file()
    ]
    return (folders[0] / group / f"{option}.yaml").read_text(encoding="utf-8").rstrip()


def node_text(name: str, key: Key, has_options: bool) -> str:
    """A node: what it is, and its keys."""
    chosen = getattr(key.node, "name", None)
    about = (inspect.getdoc(type(key.node)) or "").partition("\n")[0].replace("``", "`")
    lines = [f"{name}={chosen}: {about}" if has_options and chosen else f"{name}: {about}", ""]
    for inner in keys_of(key.node):
        if inner.name not in ("kind", "name"):
            lines += key_lines(name, inner)
    if has_options:
        lines += ["", *textwrap.wrap(f"Options of {name}: {', '.join(option_names(name))}", width())]
    return "\n".join(lines)


def key_lines(parent: str, key: Key) -> list[str]:
    """A key with its value and type, and its description below."""
    name = f"{parent}.{key.name}".lstrip(".")
    if key.node is not None:
        inside = ", ".join(inner.name for inner in keys_of(key.node))
        return [f"{name}.*  ({inside})", *indented(key.description)]
    return [f"{name}={key.value}  ({key.type})", *indented(key.description)]


def indented(text: str) -> list[str]:
    """A description as lines that stand under its key."""
    return textwrap.wrap(text, width(), initial_indent="    ", subsequent_indent="    ")


def width() -> int:
    """Columns to fill: those of the terminal, as far as lines stay readable."""
    return min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH)
