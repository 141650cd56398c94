"""Tables from csv, tsv, jsonl, parquet and txt files, and the files that make up a split."""

import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def read_table(path: Path) -> "pyarrow.Table":
    """All columns of a file; those of csv and tsv are strings, and txt has one column ``text`` with a line a row.

    Raises:
        DataError: if the file is missing, empty, of another type, or damaged; names the row where it can.
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
                table = table_of_objects([json.loads(line) for line in text_lines(path.read_bytes()) if line.strip()])
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
    """Lines of UTF-8 text, with or without carriage returns; unlike str.splitlines, no other character ends a line."""
    lines = content.decode("utf-8-sig").split("\n")
    return [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def stdin_lines() -> "pyarrow.Table":
    """Lines of stdin as the column ``text``.

    Raises:
        DataError: if they are not UTF-8.
    """
    import pyarrow as pa

    try:
        return pa.table({"text": pa.array(text_lines(sys.stdin.buffer.read()), type=pa.string())})
    except UnicodeDecodeError as error:
        raise DataError(f"input=-: byte {error.start} is not UTF-8 ({error.reason})") from error


def read_separated(path: Path, delimiter: str) -> "pyarrow.Table":
    """A csv or tsv file with a header; every column as strings, an empty field as null."""
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


def table_of_objects(objects: list[Any]) -> "pyarrow.Table":
    """JSON objects as a table with a column for each key; values that no one type fits stand as JSON text.

    Raises:
        ValueError: if one is not an object.
    """
    import pyarrow as pa

    for row in objects:
        if not isinstance(row, dict):
            raise ValueError(f"{json.dumps(row)[:40]} is not a JSON object")
    columns = {}
    for key in dict.fromkeys(key for row in objects for key in row):
        values = [row.get(key) for row in objects]
        try:
            columns[key] = pa.array(values)
        except (pa.ArrowException, OverflowError, TypeError):
            columns[key] = pa.array([None if value is None else json.dumps(value) for value in values])
    return pa.table(columns)


def explain_damage(path: Path, error: Exception) -> str:
    """Why a file cannot be read, with the line where that can be told."""
    if path.suffix != ".parquet":
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    text = line.decode("utf-8-sig")
                    if path.suffix == ".jsonl" and text.strip():
                        json.loads(text)
                except UnicodeDecodeError as fault:
                    return f"line {number} is not UTF-8 (byte {fault.start}: {fault.reason}); convert the file to UTF-8"
                except ValueError as fault:
                    return f"line {number} is not valid JSON ({fault})"
    return " ".join(str(error).split())


def split_files(folder: Path, split: str, subset: str | None = None) -> list[Path]:
    """Files of a split in a folder, of the first layout that is there.

    ``<split>.<suffix>``; all files of ``<split>/``; the hub's ``<split>-*.parquet``; the last two also one folder down,
    in that named ``subset`` if there is one.

    Raises:
        DataError: if the split stands there in two formats.
    """
    single = [folder / f"{split}{suffix}" for suffix in SUFFIXES if (folder / f"{split}{suffix}").is_file()]
    if len(single) > 1:
        raise DataError(f"{folder}: split {split!r} is there twice ({single[0].name}, {single[1].name}); remove one")
    if subset and (folder / subset).is_dir():
        folder = folder / subset
        single = single or split_files(folder, split)
    for pattern in (f"{split}/*", f"{split}-*", f"*/{split}/*", f"*/{split}-*"):
        single = single or known_files(folder.glob(pattern))
    return single


def known_files(paths: Iterable[Path]) -> list[Path]:
    """Those of the paths that are files of a known type, sorted."""
    return sorted(path for path in paths if path.suffix in SUFFIXES and path.is_file())


def file_digest(path: Path) -> str:
    """Digest of a file's bytes."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
