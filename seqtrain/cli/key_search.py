"""Which existing key a user may have meant by one that does not exist."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields, is_dataclass
from difflib import SequenceMatcher
from typing import Any

CLOSE = 0.6
"""Similarity from which a key may be meant; 1 for equal names."""
MUCH = 0.2
"""How far below the most similar key another one may be."""
MOST = 3
"""Keys that are named at most."""


def all_keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys of a configuration, those of nodes included."""
    for field in fields(node):
        key, value = f"{prefix}{field.name}", getattr(node, field.name)
        yield key
        if is_dataclass(value):
            yield from all_keys(value, f"{key}.")


def nearest(key: str, keys: Iterable[str]) -> list[str]:
    """The keys most like one that does not exist, the most alike first, at most three.

    Those of the same last name come first, wherever they are: ``lr`` is ``trainer.lr``, ``trainer.device`` is
    ``device``. Then similar names beside it, then similar names anywhere.
    """
    keys = sorted(keys, key=lambda each: (each.count("."), each))
    parent, _, name = key.rpartition(".")
    if same := [each for each in keys if last(each) == name]:
        return same[:MOST]
    beside = [each for each in keys if each.rpartition(".")[0] == parent]
    return closest(name, beside) or closest(name, keys)


def closest(name: str, keys: Collection[str]) -> list[str]:
    """Keys whose last name is similar, the most similar first, and none that is much less similar than that."""
    scores = {key: SequenceMatcher(None, name, last(key)).ratio() for key in keys}
    least = max(CLOSE, max(scores.values(), default=0.0) - MUCH)
    return sorted((key for key in keys if scores[key] >= least), key=lambda key: -scores[key])[:MOST]


def last(key: str) -> str:
    """The name after the last dot."""
    return key.rpartition(".")[2]


def did_you_mean(names: Collection[str], value: str | None = None) -> str:
    """A question that offers names, with a value to give them."""
    given = "" if value is None else f"={value}"
    return f"did you mean {' or '.join(f'{name}{given}' for name in names)}?"


def no_such_key(key: str, value: str | None, keys: Iterable[str]) -> str | None:
    """One line for a key that does not exist, with what may be meant; None where nothing is like it."""
    near = nearest(key, keys)
    if not near:
        return None
    written = key if value is None else f"{key}={value}"
    place = f" ({near[0]} is at the top level)" if "." in key and "." not in near[0] else ""
    return f"{written}: no such key; {did_you_mean(near, value)}{place}"
