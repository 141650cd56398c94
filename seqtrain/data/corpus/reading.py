"""Read text files, and the text column of tables, in chunks: memory does not grow with the file."""

import codecs
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from seqtrain.config.corpus import CorpusConfig
from seqtrain.data.corpus.files import TABLE_SUFFIXES
from seqtrain.data.corpus.stream import Chunk
from seqtrain.data.tables.files import file_type, numbered_lines, open_bytes, unreadable
from seqtrain.data.tables.objects import json_objects
from seqtrain.errors import DataError

BLOCK = 1 << 20  # bytes of a file read at a time; a longer line is passed on in parts
ROWS = 256  # rows of a table read at a time


def read_files(paths: list[Path], config: CorpusConfig) -> Iterator[Chunk]:
    """Chunks of text files, and of the text column of jsonl and parquet files, one file after the other.

    Raises:
        DataError: if one cannot be read or decoded, or has no such column of text.
    """
    first = True
    for path in paths:
        if (kind := file_type(path)) in TABLE_SUFFIXES:
            read = read_jsonl if kind == ".jsonl" else read_parquet
            chunks = row_chunks(read(path, config.text_column), config.rows_are_lines, first)
        else:
            chunks = (Chunk(text, i == 0) for i, text in enumerate(read_text(path)))
        for chunk in chunks:
            yield chunk
            first = False


def read_text(path: Path) -> Iterator[str]:
    """Read a UTF-8 file in parts that end with a line; parts of a very long line end before a blank if it has one."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest, position, begun = "", 0, False
    try:
        with open_bytes(path) as file:
            while True:
                block = file.read(BLOCK)
                start = position - len(decoder.getstate()[0])  # bytes of a character that the block before began
                try:
                    text = decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    raise not_utf8(path, start, error) from error
                position += len(block)
                rest += text if begun else text.removeprefix("\ufeff")
                begun = begun or bool(text)
                cut = line_cut(rest) if block else len(rest)
                if cut:
                    yield rest[:cut].replace("\r\n", "\n")
                    rest = rest[cut:]
                if not block:
                    return
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error


def line_cut(text: str) -> int:
    """Where to cut an incomplete text: after its last line; 0 to wait for the end of a line that is not too long."""
    if cut := text.rfind("\n") + 1:
        return cut
    if len(text) < BLOCK:
        return 0
    blank = text.rfind(" ")  # cut before it: byte-level BPE joins a blank to the word after it
    return blank if blank > 0 else len(text) - text.endswith("\r")  # "\r" may be the first half of a line end


def read_jsonl(path: Path, column: str) -> Iterator[str]:
    """The text of the object in each line."""
    for number, row in json_objects(path, numbered_lines(path)):
        where = f"{path}: line {number}"
        check_column(where, column, row)
        yield from checked_texts([row[column]], where, column)


def read_parquet(path: Path, column: str) -> Iterator[str]:
    """The text of each row of a parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            check_column(str(path), column, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=ROWS, columns=[column]):
                yield from checked_texts(batch.column(0).to_pylist(), str(path), column)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from error


def row_chunks(rows: Iterator[str], lines: bool, first: bool) -> Iterator[Chunk]:
    """Chunks of rows: each row a document or, with ``lines``, a line of one text, which begins here if ``first``."""
    if not lines:
        yield from (Chunk(row, True) for row in rows if row)
        return
    while batch := list(islice(rows, ROWS)):
        yield Chunk("".join(row.removesuffix("\n") + "\n" for row in batch), first)
        first = False


def checked_texts(values: Iterable[Any], where: str, column: str) -> Iterator[str]:
    """Values of a text column without nulls; raises DataError for a value that is not text."""
    for value in values:
        if value is None:
            continue
        if not isinstance(value, str) or (not value.isascii() and re.search("[\ud800-\udfff]", value)):
            raise DataError(f"{where}: column {column!r} (data.text_column) holds a value that is not text")
        yield value


def check_column(where: str, column: str, names: Iterable[str]) -> None:
    """Raise DataError if the text column is missing; the error names the existing columns."""
    if column not in names:
        raise DataError(f"{where} has no column {column!r} (data.text_column); its columns: {', '.join(names)}")


def not_utf8(path: Path, start: int, error: UnicodeDecodeError) -> DataError:
    """The error for a file that could not be decoded; ``start`` is the position of the part that failed."""
    return DataError(f"{path}: byte {start + error.start} is not UTF-8 ({error.reason}); convert the file to UTF-8")
