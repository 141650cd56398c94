"""JSON: one object in each line (jsonl), or one list of objects (json)."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtrain.data.tables.files import decode, numbered_lines, read_bytes
from seqtrain.data.tables.table import ENCODED, Table
from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object from its keys and values; raises ValueError if a key occurs twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"key {twice!r} occurs twice")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=distinct)


def read_json(path: Path) -> Table:
    """Read a file of JSON objects: a list of them if its first character is ``[``, else one in each line.

    Raises:
        DataError: if the file cannot be read, or is not of this form; names the line or the row.
    """
    return read_list(path) if is_list(path) else read_json_lines(path)


def is_list(path: Path) -> bool:
    """Whether the first character of a file that is no white space is ``[``."""
    first = next((line.strip() for _, line in numbered_lines(path) if line.strip()), "")
    return first.startswith("[") and path.name.lower().removesuffix(".gz").endswith(".json")


def read_json_lines(path: Path) -> Table:
    """Read a file with an object in each line; blank lines are passed over."""
    rows = Columns()
    lines = []
    for number, row in json_objects(path, numbered_lines(path)):
        rows.add(row)
        lines.append(number)
    return rows.table(str(path), np.array(lines, dtype=np.int64))


def read_list(path: Path) -> Table:
    """Read a file that is one list of objects."""
    content = decode(path, read_bytes(path))
    try:
        objects = DECODER.decode(content.strip())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not valid JSON ({' '.join(str(error).split())})") from error
    rows, escapes = Columns(), has_escapes(content)
    for number, row in enumerate(objects, start=1):
        check_object(row, f"{path}: row {number}", escapes)
        rows.add(row)
    return rows.table(str(path), None)


def json_objects(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of each line of JSON Lines; blank lines are passed over.

    Raises:
        DataError: for a line that is not a JSON object, or holds half of a surrogate pair.
    """
    for number, line in lines:
        if not line.strip():
            continue
        try:
            row = DECODER.decode(line.strip())
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is not valid JSON ({error})") from error
        check_object(row, f"{path}: line {number}", has_escapes(line))
        yield number, row


def has_escapes(text: str) -> bool:
    """Whether JSON may hold halves of surrogate pairs, which only escapes can write."""
    return "\\ud" in text or "\\uD" in text


def check_object(row: Any, where: str, escapes: bool) -> None:
    """Raise DataError if a value is not an object, or has ``escapes`` and holds a half such as "\\ud83d" alone.

    JSON allows that, and UTF-8 does not.
    """
    if not isinstance(row, dict):
        raise DataError(f"{where} is not a JSON object")
    if escapes:
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{where} holds half of a surrogate pair, which is not a character; remove it") from error


class Columns:
    """Values of objects by key; None where an object has no such key."""

    def __init__(self) -> None:
        self.values: dict[str, list[Any]] = {}
        self.count = 0

    def add(self, row: dict[str, Any]) -> None:
        """Add a row."""
        if row.keys() != self.values.keys():
            for key in row:
                self.values.setdefault(key, [None] * self.count)
        for key, column in self.values.items():
            column.append(row.get(key))
        self.count += 1

    def table(self, origin: str, lines: np.ndarray | None) -> Table:
        """The table of all rows."""
        import pyarrow as pa

        fields, arrays = [], []
        for key, values in self.values.items():
            array, metadata = column_of(values)
            fields.append(pa.field(key, array.type, metadata=metadata))
            arrays.append(array)
        return Table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), origin, lines)


def column_of(values: list[Any]) -> tuple["pyarrow.Array", dict[bytes, bytes] | None]:
    """A column and its metadata: values of one type as they are, values of several types as JSON."""
    import pyarrow as pa

    if is_uniform(values):
        try:
            return pa.array(values), None
        except (pa.ArrowException, OverflowError):
            pass
    return pa.array([None if value is None else json.dumps(value, ensure_ascii=False) for value in values]), ENCODED


def is_uniform(values: Iterable[Any]) -> bool:
    """Whether all values but None have the same type, and so have the entries of lists; objects never count so."""
    kinds = set(map(type, values)) - {type(None)}
    if list in kinds and len(kinds) == 1:
        return is_uniform(list(chain.from_iterable(value for value in values if value is not None)))
    return len(kinds) <= 1 and dict not in kinds
