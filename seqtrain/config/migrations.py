"""Upgrades configurations that an earlier version saved to today's options.

A run directory stores the number of its format in status.json; without a number it has format 1. Raise ``FORMAT``
whenever an option is renamed, or the default of a new option differs from what earlier runs did, and add an entry to a
table below.
"""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from seqtrain.errors import RunError
from seqtrain.regular import read_regular

MOST_BYTES = 1 << 22
"""Largest size of a status.json: 4 MiB."""

FORMAT = 5
"""Format of the run directories that this version writes."""

RENAMED: dict[int, dict[str, str]] = {}
"""Renamed options: format -> old key -> new key, for runs of this format or an earlier one."""

OLD_DEFAULTS: dict[int, dict[str, Any]] = {2: {"data.test_size": 0.0}, 4: {"model.scale_means": False}}
"""Values of options that runs of this format or an earlier one did not have: format -> key -> value."""


def lengthened(flat: dict[str, Any]) -> dict[str, Any]:
    """A run whose ``epochs`` could be lengthened by ``min_steps``; today they can be only if they are null."""
    if flat.get("trainer.min_steps") is None or flat.get("trainer.epochs") is None:
        return flat
    return flat | {"trainer.epochs": None, "trainer.min_epochs": flat["trainer.epochs"]}


def undilated(flat: dict[str, Any]) -> dict[str, Any]:
    """A run whose convolutions had no dilation; today they follow the length of the series if it is not given."""
    sizes = flat.get("model.kernel_sizes")
    return flat if sizes is None else {"model.dilations": [1] * len(sizes)} | flat


CHANGED: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {3: lengthened, 4: undilated}
"""Options whose meaning changed, for runs of this format or an earlier one: format -> what says the same today."""


def format_of(run: Path) -> int:
    """The format of a run directory.

    Raises:
        RunError: if a later version wrote it.
    """
    try:
        number = int(json.loads(read_regular(run / "status.json", MOST_BYTES)).get("format", 1))
    except (OSError, ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        number = 1  # a missing or damaged status is reported elsewhere
    if number > FORMAT:
        raise RunError(
            f"{run}: was made by a later version of seqtrain (format {number}; this version reads up to {FORMAT}); "
            "update seqtrain"
        )
    return number


def upgraded(saved: dict[str, Any], number: int, known: Collection[str]) -> dict[str, Any]:
    """A saved configuration, upgraded to today's keys.

    Args:
        saved: nested dicts, as read from YAML; not changed.
        number: format of its run.
        known: dotted keys that such a configuration has today.
    """
    if number == FORMAT:
        return saved
    flat = flat_keys(saved)
    for last, names in sorted(RENAMED.items()):
        if number <= last:
            flat = {names.get(key, key): value for key, value in flat.items()}
    for last, values in sorted(OLD_DEFAULTS.items()):
        if number <= last:
            flat = {key: value for key, value in values.items() if key in known} | flat
    for last, change in sorted(CHANGED.items()):
        if number <= last:
            flat = change(flat)
    return nested(flat)


def flat_keys(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one dict with dotted keys; an empty dict counts as a value."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= flat_keys(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """A dict with dotted keys as nested dicts."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, name = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return tree
