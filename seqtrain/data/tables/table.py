"""A table as it is in a file, with the place of each row for messages."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow

ENCODED = {b"seqtrain": b"json"}
"""Metadata of a column that holds its values as JSON, since they have several types."""


@dataclass
class Table:
    """All columns of a file, its name, and remarks on how it was read."""

    columns: "pyarrow.Table"
    origin: str
    """The file, for messages."""
    lines: np.ndarray | None = None
    """Line of the file at which each row begins, (N,); None if the file has no lines."""
    notes: list[str] = field(default_factory=list)
    """Remarks for the user, one line each; they name the file."""
    hint: str = ""
    """What may be wrong if a column is missing, for errors."""

    def __post_init__(self) -> None:
        check_names(self.names, self.origin)

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.columns.column_names)

    def place(self, row: int) -> str:
        """The file and the line of a row, from 0, or its number, from 1, if the file has no lines."""
        at = f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"
        return f"{self.origin}: {at}"

    def values(self, name: str) -> list[Any]:
        """Values of a column as they are in the file: strings for csv, values of any type for JSON."""
        return values_of(self.columns, name)

    def column(self, name: str, key: str) -> list[Any]:
        """Values of the column that the option ``key`` names.

        Raises:
            DataError: if there is no such column; names the columns that there are.
        """
        self.check_column(name, key)
        return self.values(name)

    def check_column(self, name: str, key: str) -> None:
        """Raise DataError, which names the columns that there are, if the table lacks a column."""
        if name not in self.names:
            shown = ", ".join(self.names[:20]) + (", ..." if len(self.names) > 20 else "")
            raise DataError(f"{self.origin}: has no column {name!r} ({key}); its columns: {shown}{self.hint}")


def check_names(names: Sequence[str], origin: str) -> None:
    """Raise DataError if two columns have the same name."""
    name, count = Counter(names).most_common(1)[0] if names else ("", 1)
    if count > 1:
        called = f"the same name {name!r}" if name else "no name"
        raise DataError(f"{origin}: {count} columns have {called}; rename them (its columns: {', '.join(names)})")


def values_of(table: "pyarrow.Table", name: str) -> list[Any]:
    """Values of a column, which may be stored as JSON."""
    values: list[Any] = table.column(name).to_pylist()
    if is_encoded(table, name):
        return [None if value is None else json.loads(value) for value in values]
    return values


def is_encoded(table: "pyarrow.Table", name: str) -> bool:
    """Whether a column holds its values as JSON."""
    return (table.schema.field(name).metadata or {}).get(b"seqtrain") == b"json"


def scalar_text(value: Any) -> str:
    """A string as it is, and another value as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
