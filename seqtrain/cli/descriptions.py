"""What the dataclasses of the configuration say of their keys: type, choices and the docstring under each field."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from omegaconf import MISSING

WORDS = {int: "whole number", float: "number", bool: "true | false", str: "text", Any: "anything"}


@dataclass(frozen=True)
class Key:
    """One key of a node."""

    name: str
    type: str
    """Type or choices, in words."""
    value: str
    """As the command line would have it."""
    description: str
    node: Any
    """The node that it is, if it has keys of its own; else None."""


def docstrings(schema: type[Any]) -> dict[str, str]:
    """The docstring under each field of a dataclass, those of its bases included; the nearest class wins."""
    found: dict[str, str] = {}
    for base in reversed([base for base in schema.__mro__ if is_dataclass(base)]):
        tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
        for field, text in zip(body, body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text(text):
                found[field.target.id] = " ".join(ast.literal_eval(text.value).split())  # type: ignore[attr-defined]
    return {name: text.replace("``", "`") for name, text in found.items()}


def is_text(node: ast.stmt) -> bool:
    """Whether a statement is a string that stands alone."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def keys_of(node: Any) -> Iterator[Key]:
    """The keys of a node, in the order of its dataclass."""
    hints, said = get_type_hints(type(node)), docstrings(type(node))
    for field in fields(node):
        value = getattr(node, field.name)
        inner = value if is_dataclass(value) else None
        # A node without a docstring under its field is described by its own class.
        text = said.get(field.name) or ((inspect.getdoc(type(inner)) or "").partition("\n")[0] if inner else "")
        yield Key(field.name, type_words(hints[field.name]), written(value), text, inner)


def type_words(hint: Any) -> str:
    """A type, or the choices of an enumeration, in words."""
    if get_origin(hint) in (Union, UnionType):
        parts = [type_words(part) for part in get_args(hint) if part is not NoneType]
        return " | ".join([*parts, "null"] if NoneType in get_args(hint) else parts)
    if get_origin(hint) is list:
        return f"list of {type_words(get_args(hint)[0])}s"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " | ".join(str(member.value) for member in hint)
    return WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def written(value: Any) -> str:
    """A value as the command line would have it."""
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    return "null" if value is None else "<must be given>" if value == MISSING else str(value)
