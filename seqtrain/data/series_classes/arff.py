"""The ``.arff`` files (of Weka) of the UCR and UEA archives.

    @relation Waves
    @attribute waves relational
    @attribute step0 numeric
    @attribute step1 numeric
    @end waves
    @attribute class {calm, rough}
    @data
    '0.1,0.2\\n1.5,?',calm

A series of several features has them in one attribute, ``relational``: a text in quotes, whose lines are the features.
A series of one feature has an attribute for each step. The last attribute is nominal: the label. ``?`` is missing.

Source: https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from seqtrain.data.series_classes.raw import RawSeries
from seqtrain.data.series_classes.values import MISSING, SeriesText, cut_at_ends, parsed
from seqtrain.data.tables.files import numbered_lines
from seqtrain.data.text.labels import shortened
from seqtrain.errors import DataError

SUFFIX = ".arff"
ATTRIBUTE = re.compile(r"""@attribute\s+(?:'[^']*'|"[^"]*"|\S+)\s+(?P<type>.+)""", re.IGNORECASE)


def read_arff(path: Path, notes: list[str]) -> RawSeries:
    """Read an ``.arff`` file.

    Args:
        path: the file.
        notes: gets how many series are shorter.

    Returns:
        The series, with the labels as they are written.

    Raises:
        DataError: if the file cannot be read or is not of this form; names the line.
    """
    lines = ((number, text) for number, line in numbered_lines(path) if (text := line.strip()) and text[0] != "%")
    relational = read_header(path, lines)
    found = list(parsed(read_row(f"{path}: line {number}", line, relational) for number, line in lines))
    if not found:
        raise DataError(f"{path}: has no series after @data; give a file with a line for each series")
    texts = [text for text, _ in found]
    first = len(texts[0].features)
    for text in texts:
        if len(text.features) != first:
            raise DataError(f"{text.place}: has {len(text.features)} features, and the first series has {first}")
    values = cut_at_ends([series for _, series in found], str(path), notes)
    names = [f"dimension {number}" for number in range(1, first + 1)]
    return RawSeries(values, [text.label for text in texts], names, str(path), lambda row: texts[row].place)


def read_header(path: Path, lines: Iterator[tuple[int, str]]) -> bool:
    """Read the lines up to ``@data``: whether a series is one attribute, ``relational``.

    Raises:
        DataError: if the attributes are others than those of series with a label.
    """
    types: list[str] = []
    inner = 0
    for number, line in lines:
        where, key = f"{path}: line {number}", line.split()[0].lower()
        if key == "@data":
            if not types or not types[-1].startswith("{"):
                raise DataError(f"{where}: the last attribute must be the label, with its classes: {{calm, rough}}")
            wrong = [kind for kind in types[:-1] if kind not in ("numeric", "real", "integer", "relational")]
            if wrong or ("relational" in types and len(types) != 2):
                raise DataError(
                    f"{where}: the attributes before the label must be numbers, or one relational attribute; one is "
                    f"{shortened((wrong or ['relational, beside others'])[0])}"
                )
            return "relational" in types
        if key == "@end":
            inner -= 1
        elif attribute := ATTRIBUTE.fullmatch(line):
            if inner == 0:
                types.append(attribute["type"].strip().lower())
            inner += attribute["type"].strip().lower() == "relational"
        elif key != "@relation":
            raise DataError(f"{where}: {shortened(line)} is no line of a header, such as @attribute step0 numeric")
    raise DataError(f"{path}: the file ends without @data, the line before the series")


def read_row(where: str, line: str, relational: bool) -> SeriesText:
    """The series of a line of data."""
    if relational:
        series, _, label = line[1:].partition(line[0])
        if line[0] not in "'\"" or not label.startswith(","):
            raise DataError(f"{where}: must be a series in quotes, a comma and a label; it begins {shortened(line)}")
        features, label = series.split("\\n"), label[1:]
    else:
        values, comma, label = line.rpartition(",")
        if not comma or line.startswith("{"):
            raise DataError(f"{where}: must be values and a label, separated by commas; it begins {shortened(line)}")
        features = [values]
    label = next(csv.reader([label.strip()], quotechar="'"), [""])[0].strip('"')
    return SeriesText(features, None if label.lower() in MISSING else label, where)
