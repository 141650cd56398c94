"""JSON files of runs and sweeps, read into typed records.

A record is a dataclass. Its annotations say what the file must hold: keys with a default are optional, further keys are
ignored, since a later version may write them. The last entry of an object is the CRC-32 of the bytes before it, so that
a changed digit is found. A file without it, as earlier versions wrote them, is taken as it is.
"""

import errno
import json
import math
import os
import zlib
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from seqtrain.atomic import replacing
from seqtrain.errors import RunError
from seqtrain.printable import escaped_within
from seqtrain.regular import read_regular

T = TypeVar("T")

CHECKSUM = "crc32"
MOST_BYTES = 1 << 28
"""Largest size of a JSON file of a run: 256 MiB; the scaler of a million series is smaller."""
WORDS = {str: "text", bool: "true or false", int: "a whole number", float: "a finite number"}
LARGEST_INTEGER = 2**63
REMEDY = "restore it or train again"


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write JSON atomically, an object with its checksum: a reader sees the old file or the new file, never a part.

    JSON knows no NaN and no infinity: they are written as null.
    """
    content = to_json(value, indent=indent).encode()
    with replacing(path) as temporary:
        temporary.write_bytes((with_checksum(content) if isinstance(value, dict) and value else content) + b"\n")


def with_checksum(content: bytes) -> bytes:
    """A JSON object with one more entry, the checksum of what stands before it."""
    body = content.rstrip().removesuffix(b"}").rstrip()
    return body + f',\n  "{CHECKSUM}": {zlib.crc32(body)}\n}}'.encode()


def verified(content: bytes) -> bool:
    """Whether the checksum at the end of a JSON object is that of what stands before it."""
    body, found, end = content.rpartition(f',\n  "{CHECKSUM}": '.encode())
    return bool(found) and end.split() == [str(zlib.crc32(body)).encode(), b"}"]


def overwrite_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object over the bytes of a file: on a full disk this is possible within its last block.

    Raises:
        OSError: if there is no room for that either; the content is as before.
    """
    content = with_checksum(to_json(value, separators=(",", ":")).encode())
    with path.open("r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        blanks = b" " * (len(content) - size)
        if file.write(blanks) < len(blanks):  # which is no damage: blanks may follow JSON
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        file.seek(0)
        file.write(content.ljust(size))


def to_json(value: Any, **options: Any) -> str:
    """A value as JSON, with null for numbers that are not finite."""
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:
        return json.dumps(finite(value), allow_nan=False, **options)


def finite(value: Any) -> Any:
    """The value with None for every number in it that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    return [finite(part) for part in value] if isinstance(value, list | tuple) else value


def read_json(path: Path, *, shown: bool = False, remedy: str = REMEDY) -> Any:
    """Read a JSON file of a run.

    Args:
        path: the file.
        shown: escape control characters in all texts, so that they can be printed.
        remedy: what to do where it is damaged, for the error.

    Raises:
        RunError: if it is missing or damaged.
    """
    try:
        raw = read_regular(path, MOST_BYTES)
        content = escaped_within(json.loads(raw)) if shown else json.loads(raw)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: is not valid JSON ({error}); {remedy}") from error
    if isinstance(content, dict) and content.pop(CHECKSUM, None) is not None and not verified(raw):
        raise RunError(f"{path}: has changed since it was written ({CHECKSUM} differs); {remedy}")
    return content


def read_record(kind: type[T], path: Path, *, shown: bool = False, remedy: str = REMEDY) -> T:
    """Read a JSON file of a run into a record; arguments and errors as of ``read_json`` and ``as_record``."""
    return as_record(kind, read_json(path, shown=shown, remedy=remedy), path, remedy)


def as_record(kind: type[T], content: Any, path: Path, remedy: str = REMEDY) -> T:
    """Turn the content of a JSON file into a record; raises RunError, which names the file and the key."""
    try:
        return cast(T, reader(cast(Any, kind))(content))
    except Mismatch as error:
        raise RunError(f"{path}: {error}; {remedy}") from error


class Mismatch(ValueError):
    """A value is not as its annotation says.

    Args:
        said: what is wrong.
        place: where, from the outermost key or index to the innermost.
    """

    def __init__(self, said: str, place: tuple[str | int, ...] = ()):
        super().__init__(said)
        self.said, self.place = said, place

    def __str__(self) -> str:
        keys = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.place).lstrip(".")
        return f"{keys}: {self.said}" if keys else self.said


Reader = Callable[[Any], Any]
"""Checks a value of JSON and returns it as its annotated type; raises Mismatch."""


@cache
def reader(kind: Any) -> Reader:
    """The reader of an annotation: a dataclass, list, dict with texts as keys, basic type, or Any.

    None is allowed by ``X | None`` only. A number that is not finite counts as None there, as earlier versions wrote
    NaN.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: value
    if origin in (Union, UnionType):
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        return optional(reader(inner))
    if origin is list:
        return list_of(reader(arguments[0]))
    if origin is dict:
        return dict_of(reader(arguments[1]))
    if is_dataclass(kind):
        return dataclass_of(kind)
    return finite_number if kind is float else partial(basic, kind)


def optional(read: Reader) -> Reader:
    """A reader that allows None."""
    return lambda value: None if value is None or value != value or value in (math.inf, -math.inf) else read(value)


def list_of(read: Reader) -> Reader:
    """A reader of lists."""

    def read_list(value: Any) -> list[Any]:
        parts = expect(value, list, "a list")
        try:
            return [read(part) for part in parts]
        except Mismatch:
            return [below(place, read, part) for place, part in enumerate(parts)]  # again, to name the place

    return read_list


def dict_of(read: Reader) -> Reader:
    """A reader of objects whose values are of one type."""
    return lambda value: {key: below(key, read, part) for key, part in expect(value, dict, "an object").items()}


def dataclass_of(kind: Any) -> Reader:
    """A reader of objects with the fields of a dataclass."""
    hints = get_type_hints(kind)
    required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]

    def read_dataclass(value: Any) -> Any:
        content = expect(value, dict, "an object")
        for name in required:
            if name not in content:
                raise Mismatch(f"{name!r} is missing")
        return kind(
            **{name: below(name, reader(hint), content[name]) for name, hint in hints.items() if name in content}
        )

    return read_dataclass


def basic(kind: type, value: Any) -> Any:
    """A text, a truth value or a whole number."""
    if type(value) is not kind:
        raise unlike(WORDS[kind], value)
    if isinstance(value, int) and abs(value) >= LARGEST_INTEGER:
        raise Mismatch("expected a whole number below 2**63")
    return value


def below(place: str | int, read: Reader, value: Any) -> Any:
    """A part of a value; its place is added to a Mismatch."""
    try:
        return read(value)
    except Mismatch as error:
        raise Mismatch(error.said, (place, *error.place)) from None


def finite_number(value: Any) -> float:
    """A number as a float; raises Mismatch if it is not a number, or not finite."""
    try:
        if type(value) in (int, float) and math.isfinite(number := float(value)):
            return number
    except OverflowError:
        pass
    raise unlike(WORDS[float], value)


def expect(value: Any, kind: type[T], words: str) -> T:
    """The value if it is of a class, else Mismatch."""
    if not isinstance(value, kind):
        raise unlike(words, value)
    return value


def unlike(words: str, value: Any) -> Mismatch:
    """The error for a value that is not what is expected."""
    if isinstance(value, list | dict):
        shown = "a list" if isinstance(value, list) else "an object"
    elif isinstance(value, int) and abs(value) >= LARGEST_INTEGER:
        shown = "a number beyond 2**63"
    else:
        shown = ascii(value) if len(ascii(value)) <= 40 else f"{ascii(value)[:37]}..."
    return Mismatch(f"expected {words}, is {shown}")
