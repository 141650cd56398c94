"""Tables from csv, tsv, jsonl, parquet and txt files, and the files that make up a split."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

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
                return read_separated(path, "\t" if path.suffix == ".tsv" else ",")
            case ".jsonl":
                from pyarrow import json as pa_json

                size = path.stat().st_size + 1  # one block, so that a long line never crosses two
                return pa_json.read_json(path, read_options=pa_json.ReadOptions(block_size=min(size, 2**31 - 1)))
            case ".parquet":
                from pyarrow import parquet

                return parquet.read_table(path)
            case ".txt":
                return pa.table({"text": path.read_text(encoding="utf-8").splitlines()})
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {explain_damage(path, error)}") from error
    raise DataError(f"{path}: files of type {path.suffix or '(none)'} are not read; use {', '.join(SUFFIXES)} or .txt")


def read_separated(path: Path, delimiter: str) -> "pyarrow.Table":
    """A csv or tsv file with a header; every column as strings, an empty field as null."""
    import pyarrow as pa
    from pyarrow import csv

    with csv.open_csv(path, parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)) as reader:
        names = reader.schema.names
    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(block_size=max(1 << 20, min(path.stat().st_size + 1, 1 << 28))),
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )


def explain_damage(path: Path, error: Exception) -> str:
    """Why a file cannot be read, with the line where that can be told."""
    if path.suffix != ".parquet":
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    text = line.decode("utf-8")
                    if path.suffix == ".jsonl" and text.strip():
                        json.loads(text)
                except UnicodeDecodeError as fault:
                    return f"line {number} is not UTF-8 (byte {fault.start}: {fault.reason}); convert the file to UTF-8"
                except ValueError as fault:
                    return f"line {number} is not valid JSON ({fault})"
    return " ".join(str(error).split())


def split_files(folder: Path, split: str, subset: str | None = None) -> list[Path]:
    """Files of a split in a folder: ``<split>.parquet``, ``<split>/*`` or, as the hub has it, ``**/<split>-*.parquet``.

    Where the folder has a subfolder named as ``subset``, only that is searched.
    """
    if subset and (folder / subset).is_dir():
        folder = folder / subset
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in SUFFIXES
        and path.is_file()
        and (path.stem == split or path.stem.startswith(f"{split}-") or path.parent == folder / split)
    )


def file_digest(path: Path) -> str:
    """Digest of a file's bytes."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
