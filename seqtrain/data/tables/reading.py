"""The one reader of tables: csv, tsv, jsonl, json, parquet and txt files."""

import sys
from pathlib import Path

import numpy as np

from seqtrain.config.tables import TableConfig
from seqtrain.data.tables.files import SUFFIXES, decode, file_type, split_lines, text_lines
from seqtrain.data.tables.objects import read_json
from seqtrain.data.tables.separated import read_separated
from seqtrain.data.tables.table import Table
from seqtrain.errors import DataError


def read_table(path: Path, config: TableConfig | None = None) -> Table:
    """Read all columns of a file.

    Columns of csv and tsv are strings. A txt file has one column ``text``, a row for each line.

    Args:
        path: the file; its suffix tells its type, and .gz after it that it is compressed.
        config: how fields are written in csv and tsv; None for the defaults.

    Raises:
        DataError: if the file is missing, empty, damaged or of an unknown type; names the line if possible.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
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

    Of the file's metadata only that of `datasets` is kept, which may name classes.
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
    return Table(columns.replace_schema_metadata(kept), str(path))


def table_of_lines(lines: list[str], origin: str) -> Table:
    """A table of one column, ``text``."""
    import pyarrow as pa

    return Table(pa.table({"text": pa.array(lines, type=pa.string())}), origin, np.arange(1, len(lines) + 1))


def stdin_lines() -> Table:
    """The lines of stdin as a table with the column ``text``.

    Raises:
        DataError: if stdin is not UTF-8.
    """
    return table_of_lines(split_lines(decode(Path("input=-"), sys.stdin.buffer.read())), "input=-")
