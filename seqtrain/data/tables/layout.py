"""Where the rows of a csv or tsv file begin, found from the positions of its quotes and line ends.

Shapes: N rows, header and blank lines included.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqtrain.data.tables.records import Dialect

NEWLINE, RETURN, QUOTE = b'\n\r"'


class Layout(NamedTuple):
    """Where the rows of a file are; with an entry for the end of the file as the last one."""

    starts: NDArray[np.int64]
    """Position of the first byte of each row, (N + 1,)."""
    lines: NDArray[np.int64]
    """Line of each row, from 1, (N + 1,)."""
    blank: NDArray[np.bool_]
    """Whether the row is a blank line, (N,)."""


def regular_rows(content: bytes, dialect: Dialect) -> Layout | None:
    """Rows of a file whose quotes and line ends all stand where the format has them.

    A quote that opens a field follows a separator or a line end; one that closes it comes before one of these; and any
    other one is doubled. Quotes thus alternate, and a line end after an odd number of them is part of a field.

    Returns:
        The rows; None if the file is not of this form, or may be read in another way.
    """
    data = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(data == NEWLINE)
    if data[-1] != NEWLINE:
        ends = np.append(ends, len(data))
    if b"\r" in content and (data[(np.flatnonzero(data == RETURN) + 1).clip(max=len(data) - 1)] != NEWLINE).any():
        return None
    inside = np.zeros(len(ends), dtype=bool)
    if dialect.quoted and b'"' in content:
        quotes = np.flatnonzero(data == QUOTE)
        if len(quotes) % 2:
            return None
        around = np.array([NEWLINE, ord(dialect.separator), QUOTE])
        opens, closes = quotes[::2], quotes[1::2]
        before, after = data[opens - 1], data[(closes + 1).clip(max=len(data) - 1)]
        opened = np.isin(before, around) | (opens == 0)
        closed = np.isin(after, around) | (after == RETURN) | (closes == len(data) - 1)
        inside = np.searchsorted(quotes, ends) % 2 == 1
        if not (opened.all() and closed.all()) or (dialect.tabs and inside.any()):
            return None
    begins = ends[:-1][~inside[:-1]] + 1
    lines = np.concatenate([[1], np.flatnonzero(~inside[:-1]) + 2, [len(ends) + 1]])
    starts = np.concatenate([[0], begins, [len(data)]])
    return Layout(starts, lines, np.isin(data[starts[:-1]], (NEWLINE, RETURN)))
