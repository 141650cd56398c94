"""Tables from csv, tsv, jsonl, parquet and txt files."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def read_table(path: Path) -> "pyarrow.Table":
    """Read all columns of a file.

    Columns of csv and tsv are strings. A txt file has one column ``text``, a row for each line.

    Raises:
        DataError: if the file is missing, empty, damaged or of an unknown type; names the row if possible.
    """
    import pyarrow as pa

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")
    try:
        match path.suffix:
            case ".csv" | ".tsv":
                table = read_separated(path, "\t" if path.suffix == ".tsv" else ",")
            case ".jsonl":
                table = table_of_objects([row for _, row in json_objects(path, text_lines(path.read_bytes()))])
            case ".parquet":
                from pyarrow import parquet

                table = parquet.read_table(path)
            case ".txt":
                table = pa.table({"text": pa.array(text_lines(path.read_bytes()), type=pa.string())})
            case other:
                known = ", ".join(SUFFIXES)
                raise DataError(f"{path}: files of type {other or '(none)'} are not read; use {known} or .txt")
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: {explain_damage(path, error)}") from error
    if len(set(table.column_names)) < table.num_columns:
        raise DataError(f"{path}: two columns have the same name; its columns: {', '.join(table.column_names)}")
    return table


def text_lines(content: bytes) -> list[str]:
    """Lines of UTF-8 text that end in "\\n" or "\\r\\n"; unlike in str.splitlines, no other character ends a line."""
    lines = content.decode("utf-8-sig").split("\n")
    return [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def stdin_lines() -> "pyarrow.Table":
    """The lines of stdin as a table with the column ``text``.

    Raises:
        DataError: if stdin is not UTF-8.
    """
    import pyarrow as pa

    try:
        return pa.table({"text": pa.array(text_lines(sys.stdin.buffer.read()), type=pa.string())})
    except UnicodeDecodeError as error:
        raise DataError(f"input=-: byte {error.start} is not UTF-8 ({error.reason})") from error


def read_separated(path: Path, delimiter: str) -> "pyarrow.Table":
    """Read a csv or tsv file with a header: every column as strings, an empty field as null."""
    import pyarrow as pa
    from pyarrow import csv

    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    read = csv.ReadOptions(block_size=max(1 << 20, min(path.stat().st_size + 1, 1 << 28)))
    with csv.open_csv(path, read_options=read, parse_options=parse) as reader:
        names = reader.schema.names
    strings = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    return csv.read_csv(path, read_options=read, parse_options=parse, convert_options=strings)


def json_objects(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number (from 1) and object of each line of JSON Lines; blank lines are skipped.

    Raises:
        DataError: for a line that is not a JSON object.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}: line {number} is not valid JSON ({error})") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}: line {number} is not a JSON object")
        yield number, row


def table_of_objects(objects: list[dict[str, Any]]) -> "pyarrow.Table":
    """A table with a column for each key of JSON objects; a column of mixed types is stored as JSON text."""
    import pyarrow as pa

    columns = {}
    for key in dict.fromkeys(key for row in objects for key in row):
        values = [row.get(key) for row in objects]
        try:
            columns[key] = pa.array(values)
        except (pa.ArrowException, OverflowError, TypeError):
            columns[key] = pa.array([None if value is None else json.dumps(value) for value in values])
    return pa.table(columns)


def explain_damage(path: Path, error: Exception) -> str:
    """Why a file cannot be read, with the first line that is not UTF-8 if there is one."""
    if path.suffix != ".parquet":
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    line.decode("utf-8-sig")
                except UnicodeDecodeError as fault:
                    return f"line {number} is not UTF-8 (byte {fault.start}: {fault.reason}); convert the file to UTF-8"
    return " ".join(str(error).split())


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file that the operating system does not let us read."""
    return DataError(f"{path}: cannot be read ({error.strerror or error})")
