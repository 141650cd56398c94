"""The ``.ts`` files of the UCR and UEA archives of time series classification and regression.

    # comment
    @problemName Waves
    @univariate false
    @classLabel true calm rough
    @data
    0.1,0.2,?:1.5,1.4,1.3:calm

The header has keys with ``@`` in any case. After ``@data`` each line is a series: the features, separated by colons,
each with the values of its steps, separated by commas; and at last the label, if ``@classLabel`` or ``@targetLabel``
says so. A value that is missing is ``?`` or ``NaN``.

Source: https://www.aeon-toolkit.org/en/stable/api_reference/file_specifications/ts.html
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqtrain.config.base import suggest
from seqtrain.data.series_classes.raw import RawSeries
from seqtrain.data.series_classes.values import MISSING, SeriesText, parsed
from seqtrain.data.tables.files import byte_lines, decode
from seqtrain.data.text.labels import label_text, shortened
from seqtrain.errors import DataError

SUFFIX = ".ts"
TRUTH = {"true": True, "false": False}
KEYS = ("timestamps", "missing", "univariate", "dimension", "dimensions", "equallength", "serieslength", "classlabel",
        "targetlabel", "data")  # fmt: skip
NUMBERS = ("dimension", "dimensions", "serieslength")


@dataclass
class Header:
    """What the header of a file says; None where it says nothing."""

    univariate: bool | None = None
    labelled: bool = False
    """Whether each line ends in a label or a number."""
    classes: list[str] = field(default_factory=list)
    """The labels that there are; empty if they are not named."""
    dimensions: int | None = None
    missing: bool | None = None
    equal_length: bool | None = None
    length: int | None = None


def read_archive(path: Path, notes: list[str]) -> RawSeries:
    """Read a ``.ts`` file.

    Args:
        path: the file.
        notes: gets where the header does not say what the data are.

    Returns:
        The series, with the labels as they are written.

    Raises:
        DataError: if the file cannot be read or is not of this form; names the line.
    """
    lines = content_lines(path)
    header = read_header(path, lines, notes)
    values: list[np.ndarray] = []
    labels: list[str | None] = []
    places: list[str] = []
    for text, series in parsed(read_line(f"{path}: line {number}", line, header) for number, line in lines):
        if values and series.shape[1] != values[0].shape[1]:
            first = places[0].removeprefix(f"{path}: ")
            raise DataError(
                f"{text.place} has {series.shape[1]} features, and {first} has {values[0].shape[1]}; features are "
                "separated by colons, steps by commas"
            )
        values.append(series)
        labels.append(text.label)
        places.append(text.place)
    if not values:
        raise DataError(f"{path}: has no series after @data; give a file with a line for each series")
    check_header(path, header, values, notes)
    names = [f"dimension {number}" for number in range(1, values[0].shape[1] + 1)]
    return RawSeries(values, labels, names, str(path), places.__getitem__)


def content_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of the lines that are neither empty nor comments, which need not be UTF-8."""
    for number, line in byte_lines(path):
        if (line := line.strip()) and not line.startswith((b"#", b"%")):
            yield number, decode(path, line, number)


def read_header(path: Path, lines: Iterator[tuple[int, str]], notes: list[str]) -> Header:
    """Read the lines up to ``@data``; ``notes`` gets keys that are not known."""
    header = Header()
    number = 0
    for number, line in lines:
        where = f"{path}: line {number}"
        if not line.startswith("@"):
            raise DataError(
                f"{where}: {shortened(line)} stands before @data, and is no line of a header such as @classLabel true "
                "a b; is this a .ts file?"
            )
        words = line[1:].split()
        key, rest = (words[0].lower(), words[1:]) if words else ("", [])
        if key == "data":
            return header
        if key in KEYS:
            take(header, key, rest, where)
        elif key != "problemname":  # whose value is any text
            notes.append(
                f"{where}: @{key} is no key of a .ts file that is known, and is not used; {suggest(key, KEYS)}"
            )
    raise DataError(f"{path}: line {number}: the file ends without @data, the line before the series")


def take(header: Header, key: str, rest: list[str], where: str) -> None:
    """Take over a line of the header.

    Raises:
        DataError: if its value cannot be used.
    """
    value = rest[0].lower() if rest else ""
    if key in NUMBERS:
        if not value.isdecimal() or int(value) < 1:
            raise DataError(f"{where}: @{key} {value}: must be a whole number of at least 1")
        if key == "serieslength":
            header.length = int(value)
        else:
            header.dimensions = int(value)
        return
    if value not in TRUTH:
        raise DataError(f"{where}: @{key} {value}: must be true or false")
    truth = TRUTH[value]
    match key:
        case "timestamps" if truth:
            raise DataError(
                f"{where}: @timeStamps true: values with time stamps are not read; write the values alone, with steps "
                "of equal distance, or a table with data.time_column"
            )
        case "univariate":
            header.univariate = truth
        case "missing":
            header.missing = truth
        case "equallength":
            header.equal_length = truth
        case "classlabel" | "targetlabel":
            if truth and header.labelled:
                raise DataError(f"{where}: @{key} true: a series has one label, and the header names two; remove one")
            header.labelled |= truth
            header.classes = rest[1:] if truth and key == "classlabel" else header.classes


def read_line(where: str, line: str, header: Header) -> SeriesText:
    """The series of a line of data.

    Raises:
        DataError: if it has time stamps, or its label is not in the header.
    """
    parts, label = line.split(":"), None
    if parts[0].startswith("("):
        raise DataError(
            f"{where}: dimension 1 has time stamps, as (time,value), which are not read; write the values alone, with "
            "steps of equal distance"
        )
    if header.labelled:
        label = parts.pop().strip()
        if not parts:
            raise DataError(f"{where}: has no label after a colon, and the header says that each series has one")
        if header.classes and label.lower() not in MISSING and label_text(label) not in map(label_text, header.classes):
            raise DataError(
                f"{where}: label {label!r} is not one of the header's @classLabel ({', '.join(header.classes[:20])}); "
                "correct one of them"
            )
        label = None if label.lower() in MISSING else label
    if header.univariate and len(parts) > 1:
        raise DataError(f"{where}: has {len(parts)} features, and the header says @univariate true")
    return SeriesText(parts, label, where)


def check_header(path: Path, header: Header, values: list[np.ndarray], notes: list[str]) -> None:
    """Add a note where the header contradicts the data, which are used as they are."""
    lengths = {len(series) for series in values}
    missing = any(bool(np.isnan(series).any()) for series in values)
    found = f"{min(lengths)} to {max(lengths)}" if len(lengths) > 1 else str(max(lengths))
    faults = {
        f"@dimensions {header.dimensions}, and series have {values[0].shape[1]}":
            header.dimensions not in (None, values[0].shape[1]),
        "@univariate false, and series have one feature": header.univariate is False and values[0].shape[1] == 1,
        f"@seriesLength {header.length}, and series have {found} steps": header.length is not None
            and lengths != {header.length},
        f"@equalLength true, and series have {found} steps": header.equal_length is True and len(lengths) > 1,
        "@missing false, and values are missing": header.missing is False and missing,
    }  # fmt: skip
    notes += [f"{path}: the header says {fault}; the data count" for fault, holds in faults.items() if holds]
