"""Configurations of runs that an earlier version made, as today's options.

A run directory carries the number of its format in status.json; those without one have format 1. Raise ``FORMAT``
whenever an option of a run is renamed, or a new option's default differs from what runs did before it existed, and say
so in a table below.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from seqtrain.errors import RunError

FORMAT = 2
"""Of the run directories that this version makes."""

RENAMED: dict[int, dict[str, str]] = {}
"""Format -> old key -> new key, for runs of this format or an earlier one."""

OLD_DEFAULTS: dict[int, dict[str, Any]] = {}
"""Format -> key -> the value that stands for an option which runs of this format or an earlier one did not have."""


def format_of(run: Path) -> int:
    """The format of a run directory.

    Raises:
        RunError: if a later version made it.
    """
    try:
        number = int(json.loads((run / "status.json").read_text()).get("format", 1))
    except (OSError, ValueError, AttributeError, TypeError):
        number = 1  # a status that is missing or damaged is another command's to report
    if number > FORMAT:
        raise RunError(
            f"{run}: was made by a later version of seqtrain (format {number}; this one reads up to {FORMAT}); update "
            "seqtrain"
        )
    return number


def upgraded(saved: dict[str, Any], number: int, known: Collection[str]) -> dict[str, Any]:
    """A saved configuration with today's keys.

    Args:
        saved: nested, as YAML has it; not changed.
        number: format of its run.
        known: dotted keys that a run of its kinds has today.
    """
    flat = flat_keys(saved)
    for last, names in sorted(RENAMED.items()):
        if number <= last:
            flat = {names.get(key, key): value for key, value in flat.items()}
    for last, values in sorted(OLD_DEFAULTS.items()):
        if number <= last:
            flat = {key: value for key, value in values.items() if key in known} | flat
    return nested(flat)


def flat_keys(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys and values of nested dicts; an empty dict is a value."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= flat_keys(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts of dotted keys."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, name = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return tree
