"""What an option affects, declared where the option is defined, and the key sets derived from it.

    batch_size: int = option(64, Affects.batches)

An option without a declaration affects the result. So an option that was forgotten, or that a plugin adds, is refused
wherever a change could be wrong.
"""

from collections.abc import Iterator
from dataclasses import field, fields, is_dataclass
from enum import Enum
from typing import Any


class Affects(Enum):
    """What a change of an option affects."""

    result = "result"
    """The trained model, what it reads or what it predicts."""
    rows = "rows"
    """Which rows are read and how they are split. A trained model can read other rows."""
    batches = "batches"
    """How prepared rows are cut and grouped."""
    source = "source"
    """Where the data is read from. The same data may be stored elsewhere."""
    arithmetic = "arithmetic"
    """The arithmetic of the model. A trained model can compute in any."""
    decoding = "decoding"
    """What a trained model writes, and how it is scored. It can write in any way."""
    length = "length"
    """How long training lasts."""
    afterwards = "afterwards"
    """What is computed after training, from the trained model."""
    shown = "shown"
    """What is logged, drawn, and scored besides the model."""
    speed = "speed"
    """On which device a run computes, how fast, and how often it saves."""
    found = "found"
    """Nothing: training sets the option, to record what it found."""


def option(default: Any, affects: Affects) -> Any:
    """A field of a config dataclass that does not affect the result, but only what ``affects`` says."""
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"affects": affects})
    return field(default=default, metadata={"affects": affects})


def effects(node: Any, prefix: str = "", inherited: Affects = Affects.result) -> Iterator[tuple[str, Affects]]:
    """The dotted keys of a configuration or of one of its nodes, with what each affects."""
    for f in fields(node):
        own = f.metadata.get("affects", inherited)
        value = getattr(node, f.name)
        if is_dataclass(value):
            yield from effects(value, f"{prefix}{f.name}.", own)
        else:
            yield f"{prefix}{f.name}", own


def keys(node: Any, *affecting: Affects, prefix: str = "") -> set[str]:
    """Dotted keys of the options that affect one of ``affecting``."""
    return {key for key, what in effects(node, prefix) if what in affecting}


def resumable(config: Any) -> set[str]:
    """Keys that may change when a run is resumed; the fingerprint of its data is checked separately."""
    return keys(config, Affects.source, Affects.length, Affects.afterwards, Affects.shown, Affects.speed)


def changeable(config: Any) -> set[str]:
    """Keys that may change when a trained model is used: how data is read and text is written, device and precision."""
    reading = (Affects.rows, Affects.batches, Affects.source, Affects.speed)
    free = keys(config, Affects.arithmetic, Affects.decoding)
    return keys(config.data, *reading, prefix="data.") | free | {"device"}


def identifying(config: Any) -> set[str]:
    """Keys that identify a job of a sweep: those that may change what it computes."""
    keep = set(Affects) - {Affects.shown, Affects.speed, Affects.found}
    return keys(config, *keep)


def incidental(config: Any) -> set[str]:
    """Keys that do not count as a change of configuration: runs that differ only in them are repetitions."""
    return keys(config, Affects.source, Affects.shown, Affects.speed, Affects.found)


def preparing(data: Any) -> dict[str, str]:
    """Options of a dataset that shape its prepared form, as text.

    Its source and its batches do not, and neither do its kind and name, since the source is identified by itself.
    """
    kept = keys(data, Affects.result, Affects.rows) - {"kind", "name"}
    return {f.name: str(getattr(data, f.name)) for f in fields(data) if f.name in kept}
