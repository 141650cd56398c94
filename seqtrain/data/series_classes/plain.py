"""Files of the UCR archive without a header: a line for each series, with the label first (``.tsv``, ``.txt``).

    1	0.1	0.2	NaN
    2	1.5	1.4	1.3

Values are separated by a tab or by spaces. Those that are missing at the end of a line are the end of a shorter series.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seqtrain.data.series_classes.raw import RawSeries
from seqtrain.data.series_classes.values import MISSING, SeriesText, cut_at_ends, number_of, parsed
from seqtrain.data.tables.files import file_type, numbered_lines
from seqtrain.errors import DataError

SUFFIXES = (".tsv", ".txt")


def is_plain(path: Path) -> bool:
    """Whether a file is one of these: the first line holds two numbers or more, and nothing else."""
    if file_type(path) not in SUFFIXES:
        return False
    first = next((line for _, line in numbered_lines(path) if line.strip()), "")
    fields = fields_of(first)
    return len(fields) > 1 and all(one.lower() in MISSING or not np.isnan(number_of(one)) for one in fields)


def read_plain(path: Path, notes: list[str]) -> RawSeries:
    """Read a file without a header, and say so in ``notes``; raises DataError, with the line, if it cannot be used."""
    found = list(parsed(read_lines(path)))
    notes.append(f"{path}: has no header; the first of each line is read as the label, as the UCR archive has it")
    texts = [text for text, _ in found]
    values = cut_at_ends([series for _, series in found], str(path), notes)
    return RawSeries(values, [text.label for text in texts], ["value"], str(path), lambda row: texts[row].place)


def read_lines(path: Path) -> Iterator[SeriesText]:
    """The series of the lines; raises DataError if one has another number of values than the first."""
    count = 0
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        label, *values = fields_of(line)
        count = count or len(values)
        if len(values) != count:
            raise DataError(
                f"{path}: line {number} has {len(values)} values after the label, and the first has {count}; mark "
                "missing values by NaN"
            )
        yield SeriesText([",".join(values)], written_label(label), f"{path}: line {number}")


def fields_of(line: str) -> list[str]:
    """The fields of a line, separated by tabs if it has any, otherwise by spaces."""
    return [field.strip() for field in line.split("\t")] if "\t" in line.strip() else line.split()


def written_label(text: str) -> str | None:
    """A label as other files of the archive have it: ``1`` for ``1.0000000e+00``; None if it is missing."""
    if text.lower() in MISSING:
        return None
    number = number_of(text)
    return str(int(number)) if number.is_integer() else text
