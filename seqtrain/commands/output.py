"""Writing tables to files, in the format of their name."""

import json
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from seqtrain.atomic import replacing
from seqtrain.data.tables import SUFFIXES
from seqtrain.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow


def check_output(output: str, more: tuple[str, ...] = ()) -> None:
    """Raise ConfigError unless the output's type is known and its folder can be written.

    Args:
        output: the file, or - for stdout.
        more: types that are known beside those of tables.
    """
    if output == "-":
        return
    path = Path(output).expanduser()
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
    """Write tables of the same columns, at least one, below each other, each as it comes.

    Raises:
        DataError: for a column that the format cannot hold; nothing is written then.
    """
    path = Path(output).expanduser()
    first = next(tables)
    if path.suffix in (".csv", ".tsv"):
        check_flat(first, output)
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
        if field.type.num_fields:
            raise DataError(f"output={output}: column {field.name!r} holds lists or objects; write .jsonl or .parquet")


def write_json_lines(table: "pyarrow.Table", file: BinaryIO) -> None:
    """One JSON object a row; what JSON does not know (dates, say) as text."""
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            file.write((json.dumps(row, ensure_ascii=False, default=str) + "\n").encode())


def write_columns(table: "pyarrow.Table", file: BinaryIO, output: str) -> None:
    """A line for each entry of the lists of strings of a row, a blank line after each row (CoNLL).

    The columns are separated by a blank; what is no list is left out.

    Raises:
        DataError: if an entry holds a blank.
    """
    import pyarrow as pa

    lists = [field.name for field in table.schema if pa.types.is_list(field.type)]
    for row in table.select(lists).to_pylist():
        for entries in zip(*(row[name] for name in lists), strict=True) if all(row.values()) else ():
            spaced = next((entry for entry in entries if len(str(entry).split()) != 1), None)
            if spaced is not None:
                raise DataError(
                    f"output={output}: token {spaced!r} holds a blank, which separates columns; write .jsonl"
                )
            file.write((" ".join(map(str, entries)) + "\n").encode())
        file.write(b"\n")
