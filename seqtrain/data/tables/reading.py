"""The one reader of tables: csv, tsv, jsonl, json, parquet and txt files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.config.tables import TableConfig
from seqtrain.data.tables.files import SUFFIXES, decode, file_type, split_lines, text_lines
from seqtrain.data.tables.objects import read_json
from seqtrain.data.tables.separated import read_separated
from seqtrain.data.tables.table import Table, is_encoded
from seqtrain.errors import DataError
from seqtrain.paths import not_a_file, read_stdin

if TYPE_CHECKING:
    import pyarrow


def read_table(path: Path, config: TableConfig | None = None) -> Table:
    """Read all columns of a file.

    Columns of csv and tsv are strings. A txt file has one column ``text``, a row for each line.

    Args:
        path: the file; its suffix tells its type, and .gz after it that it is compressed.
        config: how fields are written in csv and tsv; None for the defaults.

    Raises:
        DataError: if the file is missing, empty, damaged or of an unknown type; names the line if possible.
    """
    if wrong := not_a_file(path):
        raise DataError(f"{path}: {wrong}")
    match file_type(path):
        case ".csv" | ".tsv":
            return read_separated(path, config or TableConfig())
        case ".jsonl" | ".json":
            return read_json(path)
        case ".parquet":
            return read_parquet(path)
        case ".txt":
            return table_of_lines(text_lines(path), str(path))
        case other:
            known = ", ".join(SUFFIXES)
            raise DataError(f"{path}: files of type {other or '(none)'} are not read; use {known} or .txt")


def read_parquet(path: Path) -> Table:
    """Read a parquet file; named levels of the index of a pandas file are columns as any other.

    Of the file's metadata only that of `datasets` is kept, which may name classes. Columns that this tool wrote as JSON
    are kept so, if they are.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        columns = parquet.read_table(path)
        columns.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from error
    metadata = columns.schema.metadata or {}
    kept = {name: value for name, value in metadata.items() if name == b"huggingface"}
    table = Table(columns.replace_schema_metadata(kept), str(path))
    for i, field in enumerate(table.columns.schema):
        if is_encoded(table.columns, field.name) and not holds_json(table.columns.column(i)):
            plain = field.remove_metadata()
            table.columns = table.columns.set_column(i, plain, table.columns.column(i))
            table.notes.append(f"{path}: column {field.name!r} is marked as JSON, but is not; it is read as it is")
    return table


def holds_json(column: "pyarrow.ChunkedArray") -> bool:
    """Whether all values of a column are JSON, or null."""
    try:
        for value in column.to_pylist():
            if value is not None:
                json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def table_of_lines(lines: list[str], origin: str) -> Table:
    """A table of one column, ``text``."""
    import pyarrow as pa

    return Table(pa.table({"text": pa.array(lines, type=pa.string())}), origin, np.arange(1, len(lines) + 1))


def stdin_lines() -> Table:
    """The lines of stdin as a table with the column ``text``.

    Raises:
        DataError: if stdin is not UTF-8.
    """
    return table_of_lines(split_lines(decode(Path("input=-"), read_stdin("input"))), "input=-")
