"""Files of fields between separators: csv and tsv.

A file whose quotes and line ends all stand where the format has them is read by pyarrow. Any other file is read row by
row by ``records``, which also finds the line of a fault.
"""

from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.config.tables import SEPARATORS, Quoting, TableConfig
from seqtrain.data.tables.files import decode, file_type, read_bytes, split_lines
from seqtrain.data.tables.layout import regular_rows
from seqtrain.data.tables.records import Dialect, Findings, advice, records
from seqtrain.data.tables.table import Table
from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow

SHOWN = 5  # number of lines from which a separator is advice


def read_separated(path: Path, config: TableConfig) -> Table:
    """Read a csv or tsv file: every column as strings, an empty field as null.

    Rows end with "\\n" or "\\r\\n". A blank line is a row of a file with one column, and otherwise none. A column
    without a name and without a value, as from a separator at the end of every row, is left out.

    Raises:
        DataError: if the file cannot be read, or a row has another number of fields than the header; names the line.
    """
    content = read_bytes(path)
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    if not content.strip():
        raise DataError(f"{path}: holds blank lines only")
    tabs = file_type(path) == ".tsv"
    separator = config.separator or ("tab" if tabs else "comma")
    dialect = Dialect(path, SEPARATORS.get(separator, separator), config.quoting is Quoting.double, tabs)
    start = content[: 1 << 16].decode(errors="replace")
    hint = advice(split_lines(start.lstrip("\r\n"))[:SHOWN], dialect.separator)
    found = Findings()
    read = read_regular(content, dialect, config.header, found)
    if read is None:
        found = Findings()
        read = read_irregular(content, dialect, config.header, hint, found)
    columns, lines = read
    if config.header:
        columns = without_nameless(columns, found)
        hint = hint or "; if its first line is a row, set data.header=false and name columns by their numbers, from 0"
    else:
        columns = columns.rename_columns([str(i) for i in range(columns.num_columns)])
    return Table(columns, str(path), lines, found.notes(path), hint)


def read_regular(
    content: bytes, dialect: Dialect, header: bool, found: Findings
) -> tuple["pyarrow.Table", np.ndarray] | None:
    """Columns and the line of each row, by pyarrow; None if it might not read the file as ``records`` does."""
    import pyarrow as pa
    from pyarrow import csv

    layout = regular_rows(content, dialect)
    if layout is None:
        return None
    starts, lines, blank = layout
    first = int(np.argmin(blank))
    _, names = next(records(decode(dialect.path, content[starts[first] : starts[first + 1]]), dialect, Findings()))
    rows = np.arange(first + header, len(blank))
    if len(names) > 1:
        rows = rows[~blank[rows]]
    places = [str(i) for i in range(len(names))]
    read = csv.ReadOptions(column_names=places, block_size=min(len(content) + 1, 1 << 24))
    parse = csv.ParseOptions(
        delimiter=dialect.separator,
        quote_char='"' if dialect.quoted else False,
        newlines_in_values=True,
        ignore_empty_lines=len(names) > 1,
    )
    strings = csv.ConvertOptions(
        column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    try:
        body = pa.BufferReader(memoryview(content)[starts[first + header] :])
        columns = csv.read_csv(body, read_options=read, parse_options=parse, convert_options=strings)
    except pa.ArrowException:  # `records` says what is wrong
        return None
    if columns.num_rows != len(rows):
        return None
    found.several_lines += lines[:-1][np.diff(lines) > 1].tolist()
    return columns.rename_columns(names), lines[rows]


def read_irregular(
    content: bytes, dialect: Dialect, header: bool, hint: str, found: Findings
) -> tuple["pyarrow.Table", np.ndarray]:
    """Columns and the line of each row, read row by row.

    Raises:
        DataError: for the first row that has another number of fields than the first one.
    """
    import pyarrow as pa

    read = records(decode(dialect.path, content), dialect, found)
    rows = list(dropwhile(lambda row: is_blank(row[1]), read))
    names = rows[0][1]
    if len(names) > 1:
        rows = [row for row in rows if not is_blank(row[1])]
    rows = rows[int(header) :]
    if rows and all(len(fields) == len(names) + 1 and not fields[-1] for _, fields in rows):
        found.empty_ends += [line for line, _ in rows]
        rows = [(line, fields[:-1]) for line, fields in rows]
    for line, fields in rows:
        if len(fields) != len(names):
            raise DataError(
                f"{dialect.path}: line {line} has {len(fields)} fields, but the first line has {len(names)}; correct "
                f"it, or quote the fields that contain a separator{hint}"
            )
    columns = zip(*(fields for _, fields in rows), strict=True) if rows else [() for _ in names]
    arrays = [pa.array([value or None for value in column], type=pa.string()) for column in columns]
    return pa.Table.from_arrays(arrays, names=names), np.array([line for line, _ in rows], dtype=np.int64)


def is_blank(fields: list[str]) -> bool:
    """Whether a row is a blank line."""
    return len(fields) == 1 and not fields[0].strip()


def without_nameless(columns: "pyarrow.Table", found: Findings) -> "pyarrow.Table":
    """The columns without those that have neither a name nor a value."""
    kept = [i for i, name in enumerate(columns.column_names) if name or columns.column(i).null_count < columns.num_rows]
    found.empty_columns += columns.num_columns - len(kept)
    return columns.select(kept) if len(kept) < columns.num_columns else columns
