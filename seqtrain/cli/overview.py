"""``seqtrain --help``: two screens with the commands, the groups, the keys met first, and where the rest is."""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from seqtrain.cli.descriptions import docstrings
from seqtrain.cli.hydra_setup import option_names
from seqtrain.config import registry
from seqtrain.config.root import Config

WIDTH = 100
GROUPS = ("data", "model", "trainer", "size", "experiment", "hparams_search", "debug")
FIRST = {
    "data": ("path", "batch_size", "max_length"),
    "model": ("hidden_size", "num_layers", "dropout"),
    "trainer": ("epochs", "max_steps", "lr", "patience"),
    "": ("seed", "device"),
}
"""Keys met first, of each node."""
SCHEMAS = {"data": "text_files", "model": "recurrent", "trainer": "trainer"}
"""Kinds whose docstrings describe those keys."""


def overview(commands: Mapping[str, Callable[..., Any]]) -> str:
    """The whole text.

    Args:
        commands: functions by name; the first line of the docstring says what each does.
    """
    told = {name: (inspect.getdoc(function) or "").partition("\n")[0] for name, function in commands.items()}
    lines = [
        "seqtrain trains, evaluates and compares sequence models.",
        "  seqtrain model=gru_attn data=imdb trainer.lr=1e-3   train: group=option and key=value",
        "  seqtrain -m model=gru,lstm seed=0,1,2               train every combination",
        "",
        "Commands (seqtrain <command> --help explains one):",
        *columns({"train": "Train a model; the word itself may be left out.", **told}, 14),
        "",
        "Groups and their options (data brings its task and trainer; experiment and hparams_search take a +):",
        *columns({group: ", ".join(option_names(group)) or "(none)" for group in GROUPS}, 16),
        "",
        "Keys met first (seqtrain --help <node> has all keys of a node, with types and values):",
    ]
    for group, names in FIRST.items():
        said = docstrings(registry.find(group, SCHEMAS[group]).schema if group else Config)
        lines += columns({f"{group}.{name}".lstrip("."): first_clause(said[name]) for name in names}, 20, whole=False)
    return "\n".join(
        [
            *lines,
            "",
            "Nodes: model.gru_attn, data.imdb, trainer, model.gru_attn.embedding; or a single key: trainer.lr",
            "The composed configuration: seqtrain ... --cfg job. Shell completion: seqtrain -sc install=bash",
        ]
    )


def columns(rows: Mapping[str, str], first: int, whole: bool = True) -> list[str]:
    """Names and texts side by side, as wide as the help is.

    Args:
        rows: texts by name.
        first: width of the column of names.
        whole: texts go on in further lines; else they are cut to one.
    """
    lines = []
    for name, text in rows.items():
        room = WIDTH - first - 2
        parts = textwrap.wrap(text, room) if whole else [textwrap.shorten(text, room, placeholder=" ...")]
        lines += [f"  {left:<{first}}{part}" for left, part in zip([name, *[""] * len(parts)], parts, strict=False)]
    return lines


def first_clause(text: str) -> str:
    """A description up to its first full stop or semicolon."""
    return text.partition(";")[0].partition(". ")[0].rstrip(".") + "."
