"""Columns of a table as numbers.

Shapes: N rows.
"""

import re
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.config.tables import MARKS, NumbersConfig
from seqtrain.data.tables.table import Table, is_encoded, scalar_text
from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow

NO_NUMBER = ["", "NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NULL", "null", "None"]  # missing values as text
INFINITE = r"^(?i:[+-]?(inf|infinity))$"
NUMBER = rf"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|{INFINITE}"
LARGEST = float(np.finfo(np.float32).max)
TRUTH = {"True": 1.0, "TRUE": 1.0, "true": 1.0, "False": 0.0, "FALSE": 0.0, "false": 0.0}


def numbers(table: Table, name: str, config: NumbersConfig, chosen_by: str) -> np.ndarray:
    """Values of a column, NaN where missing, (N,).

    Args:
        table: the table.
        name: the column.
        config: how numbers are written.
        chosen_by: the option that names the column, for errors.

    Raises:
        DataError: for the first value that is not a finite number, or is beyond those of float32, which models read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.columns.column(name)
    kind = column.type
    wrong = np.zeros(len(table), dtype=bool)
    if is_text(table, name):
        values, wrong = text_numbers(table, name, config)
    elif pa.types.is_null(kind):
        values = np.full(len(table), np.nan)
    elif pa.types.is_boolean(kind):
        values = pc.cast(pc.cast(column, pa.int8()), pa.float64()).to_numpy()
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = pc.cast(column, pa.float64(), safe=False).to_numpy()
    else:
        raise DataError(
            f"{table.origin}: column {name!r} holds values of type {kind}, which are not numbers; convert them, or "
            f"leave the column out of {chosen_by}"
        )
    if config.missing_values:
        values = np.where(np.isin(values, missing_numbers(config)), np.nan, values)
    bad = np.flatnonzero(wrong | np.isinf(values))
    if bad.size:
        row = int(bad[0])
        value = scalar_text(column[row].as_py())
        raise DataError(
            f"{table.place(row)}: column {name!r}: {value!r} is not a finite number ({bad.size:,} in all); correct the "
            f"file, leave the column out of {chosen_by}, or name it in data.missing_values if it stands for a missing "
            f"value{marks_hint(value, config)}"
        )
    if (large := np.flatnonzero(np.abs(values) > LARGEST)).size:
        row = int(large[0])
        raise DataError(
            f"{table.place(row)}: column {name!r}: {values[row]:g} is beyond {LARGEST:.2g}, the largest number of "
            f"float32, which models read ({large.size:,} in all); correct the file, give the column in a larger unit, "
            "or name the value in data.missing_values if it stands for a missing one"
        )
    return values


def is_text(table: Table, name: str) -> bool:
    """Whether a column holds texts, or values of mixed types."""
    import pyarrow as pa

    return is_encoded(table.columns, name) or pa.types.is_string(table.columns.schema.field(name).type)


def text_numbers(table: Table, name: str, config: NumbersConfig) -> tuple[np.ndarray, np.ndarray]:
    """Values of a column of texts, NaN where missing, and which texts are neither a number nor missing, (N,) each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    written = as_written(table.columns.column(name), config)
    if written is not None:
        return written.to_numpy(), np.zeros(len(table), dtype=bool)
    text = texts(table, name, config)
    truth = pc.index_in(text, pa.array(list(TRUTH)))
    if pc.all(pc.or_(pc.is_valid(truth), pc.is_null(text))).as_py():
        values = np.array([*TRUTH.values(), np.nan])
        return values[pc.fill_null(truth, len(TRUTH)).to_numpy()], np.zeros(len(table), dtype=bool)
    plain = plain_numbers(text, config)
    return pc.cast(plain, pa.float64()).to_numpy(), pc.and_(pc.is_valid(text), pc.is_null(plain)).to_numpy()


def as_written(text: "pyarrow.ChunkedArray", config: NumbersConfig) -> "pyarrow.ChunkedArray | None":
    """Numbers of texts; None if some texts are no numbers as pyarrow reads them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if config.decimal not in ("point", ".") or config.thousands is not None:
        return None
    try:
        return pc.cast(text, pa.float64())
    except pa.ArrowInvalid:
        return None


def texts(table: Table, name: str, config: NumbersConfig) -> "pyarrow.ChunkedArray":
    """Values of a column as text, stripped of white space; null where missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.columns.column(name)
    if is_encoded(table.columns, name):
        values = [None if value is None else scalar_text(value) for value in table.values(name)]
        column = pa.chunked_array([pa.array(values, pa.string())])
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(text, pa.array([*NO_NUMBER, *config.missing_values])), None, text)


def plain_numbers(text: "pyarrow.ChunkedArray", config: NumbersConfig) -> "pyarrow.ChunkedArray":
    """Numbers with a decimal point and without marks of thousands; null for a text that is no number."""
    import pyarrow.compute as pc

    point, mark = (MARKS.get(name or "", name) for name in (config.decimal, config.thousands))
    if point == "." and mark is None:
        return pc.if_else(pc.match_substring_regex(text, NUMBER), text, None)
    whole = r"\d+"
    plain = text
    if mark is not None:
        each = r"[ \x{A0}\x{202F}]" if mark == " " else f"[{mark}]"
        whole = rf"(\d+|\d{{1,3}}({each}\d{{3}})+)"
        plain = pc.replace_substring_regex(text, each, "")
    written = rf"^[+-]?({whole}[{point}]?\d*|[{point}]\d+)([eE][+-]?\d+)?$|{INFINITE}"
    return pc.if_else(pc.match_substring_regex(text, written), pc.replace_substring(plain, point, "."), None)


def missing_numbers(config: NumbersConfig) -> list[float]:
    """The values of ``data.missing_values`` that are numbers."""
    found = []
    for text in config.missing_values:
        try:
            found.append(float(text))
        except ValueError:  # a word
            continue
    return found


def marks_hint(value: str, config: NumbersConfig) -> str:
    """Advice for errors if a value seems to have a decimal comma or marks of thousands; empty otherwise."""
    point, remedies = config.decimal in ("point", "."), []
    if point and re.fullmatch(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+", value):
        remedies.append(f"data.decimal=comma{' data.thousands=point' if '.' in value else ''} for a decimal comma")
    if point and config.thousands is None and re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", value):
        remedies.append("data.thousands=comma for commas between thousands")
    return f"; set {', or '.join(remedies)}" if remedies else ""
