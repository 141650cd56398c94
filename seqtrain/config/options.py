"""What an option affects, said where the option is defined, and what follows from it.

    batch_size: int = option(64, Affects.batches)

An option that says nothing affects the result. So an option that is forgotten, or that a plugin adds, is refused where
a change might be wrong.
"""

from collections.abc import Iterator
from dataclasses import field, fields, is_dataclass
from enum import Enum
from typing import Any


class Affects(Enum):
    """What changes when an option changes."""

    result = "result"
    """The trained model, what it reads or what it predicts."""
    rows = "rows"
    """Which rows are read and how they are split; the model reads others just as well."""
    batches = "batches"
    """How prepared rows are cut and grouped."""
    source = "source"
    """Where the data lie. The same data may lie elsewhere."""
    arithmetic = "arithmetic"
    """How exactly the model computes; a trained one can compute either way."""
    length = "length"
    """How long training lasts."""
    afterwards = "afterwards"
    """What is made of the trained model."""
    shown = "shown"
    """What is logged, drawn and scored beside the model."""
    speed = "speed"
    """Where, how fast and how safely a run computes."""
    found = "found"
    """Nothing: training writes it down."""


def option(default: Any, affects: Affects) -> Any:
    """A field of a config dataclass that affects less than the result."""
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"affects": affects})
    return field(default=default, metadata={"affects": affects})


def effects(node: Any, prefix: str = "", inherited: Affects = Affects.result) -> Iterator[tuple[str, Affects]]:
    """Dotted keys of a configuration, or of one of its nodes, and what each affects."""
    for f in fields(node):
        own = f.metadata.get("affects", inherited)
        value = getattr(node, f.name)
        if is_dataclass(value):
            yield from effects(value, f"{prefix}{f.name}.", own)
        else:
            yield f"{prefix}{f.name}", own


def keys(node: Any, *affecting: Affects, prefix: str = "") -> set[str]:
    """Dotted keys of the options that affect one of these."""
    return {key for key, what in effects(node, prefix) if what in affecting}


def resumable(config: Any) -> set[str]:
    """Keys that may change when a run goes on from its last checkpoint; the digest of its data is checked beside."""
    return keys(config, Affects.source, Affects.length, Affects.afterwards, Affects.shown, Affects.speed)


def changeable(config: Any) -> set[str]:
    """Keys that may change when a trained model is used: how other data are read, where and how exactly it computes."""
    reading = (Affects.rows, Affects.batches, Affects.source, Affects.speed)
    return keys(config.data, *reading, prefix="data.") | keys(config, Affects.arithmetic) | {"device"}


def identifying(config: Any) -> set[str]:
    """Keys that tell a job of a sweep from another: those that may change what it computes."""
    keep = set(Affects) - {Affects.shown, Affects.speed, Affects.found}
    return keys(config, *keep)


def incidental(config: Any) -> set[str]:
    """Keys that make no other configuration: runs that differ in them alone are repetitions of each other."""
    return keys(config, Affects.source, Affects.shown, Affects.speed, Affects.found)


def preparing(data: Any) -> dict[str, str]:
    """Options of a dataset that shape its prepared form, as text; its source and its batches are not among them.

    Neither are its kind and name, which the source stands for.
    """
    kept = keys(data, Affects.result, Affects.rows) - {"kind", "name"}
    return {f.name: str(getattr(data, f.name)) for f in fields(data) if f.name in kept}
