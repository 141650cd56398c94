"""Writes tables to files, in the format that the file's extension names."""

import json
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

from seqtrain.atomic import replacing
from seqtrain.data.tables.table import is_encoded, scalar_text, values_of
from seqtrain.errors import ConfigError, DataError
from seqtrain.paths import expanded
from seqtrain.runs.json_files import to_json

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def check_output(output: str, more: tuple[str, ...] = ()) -> None:
    """Raise ConfigError unless the output's extension is known and its folder is writable.

    Args:
        output: the file, or - for stdout.
        more: allowed extensions besides those of tables.
    """
    if output == "-":
        return
    path = expanded(output, "output")
    if path.suffix not in (*SUFFIXES, *more):
        raise ConfigError(f"output={output}: must end in {', '.join((*SUFFIXES, *more))}, or be -")
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "is a folder")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ConfigError(f"output={output}: cannot be written ({error.strerror}); choose another path") from error


def write_table(table: "pyarrow.Table", output: str) -> None:
    """Write a table to a file, or as JSON lines to stdout (-)."""
    if output == "-":
        write_json_lines(table, sys.stdout.buffer)
        sys.stdout.flush()
    else:
        write_tables(iter([table]), output)


def write_tables(tables: Iterator["pyarrow.Table"], output: str) -> None:
    """Write one or more tables with the same columns to one file, one after another, each as soon as it is made.

    Raises:
        DataError: for a column that the format cannot store; then nothing is written.
    """
    path = expanded(output, "output")
    first = next(tables)
    if path.suffix in (".csv", ".tsv"):
        check_flat(first, output)
        tables = map(with_texts, tables)
        first = with_texts(first)
    tables = chain([first], tables)
    with replacing(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".jsonl":
            for table in tables:
                write_json_lines(table, file)
        elif path.suffix == ".conll":
            for table in tables:
                write_columns(table, file, output)
        elif path.suffix == ".parquet":
            from pyarrow import parquet

            with parquet.ParquetWriter(file, first.schema) as writer:
                for table in tables:
                    writer.write_table(table)
        else:
            from pyarrow import csv

            options = csv.WriteOptions(delimiter="\t" if path.suffix == ".tsv" else ",")
            with csv.CSVWriter(file, first.schema, write_options=options) as writer:
                for table in tables:
                    writer.write_table(table)


def check_flat(table: "pyarrow.Table", output: str) -> None:
    """Raise DataError for a column of lists or objects."""
    for field in table.schema:
        encoded = is_encoded(table, field.name) and values_of(table, field.name)
        if field.type.num_fields or any(isinstance(value, list | dict) for value in encoded or ()):
            raise DataError(
                f"output={output}: column {field.name!r} contains lists or objects; write .jsonl or .parquet"
            )


def with_texts(table: "pyarrow.Table") -> "pyarrow.Table":
    """The table with values of several types as text: strings as they are, others as JSON writes them."""
    import pyarrow as pa

    for i, name in enumerate(table.column_names):
        if is_encoded(table, name):
            texts = [None if value is None else scalar_text(value) for value in values_of(table, name)]
            table = table.set_column(i, name, pa.array(texts, type=pa.string()))
    return table


def write_json_lines(table: "pyarrow.Table", file: BinaryIO) -> None:
    """Write one JSON object for each row; values that JSON does not have, such as dates, become text."""
    encoded = [name for name in table.column_names if is_encoded(table, name)]
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            row |= {name: None if row[name] is None else json.loads(row[name]) for name in encoded}
            file.write((to_json(row, ensure_ascii=False, default=str) + "\n").encode())


def write_columns(table: "pyarrow.Table", file: BinaryIO, output: str) -> None:
    """Write the lists of each row in CoNLL format: a line for each position, and an empty line after each row.

    The columns are the table's lists, separated by spaces; other columns of the table are not written.

    Raises:
        DataError: if an entry contains white space.
    """
    import pyarrow as pa

    lists = [field.name for field in table.schema if pa.types.is_list(field.type)]
    for row in table.select(lists).to_pylist():
        for entries in zip(*(row[name] for name in lists), strict=True) if all(row.values()) else ():
            spaced = next((entry for entry in entries if len(str(entry).split()) != 1), None)
            if spaced is not None:
                raise DataError(
                    f"output={output}: token {spaced!r} contains white space, which separates columns; write .jsonl"
                )
            file.write((" ".join(map(str, entries)) + "\n").encode())
        file.write(b"\n")
