"""Values of series from the text of a file: all of a block of lines at once, by pyarrow.

Shapes: T steps of one series, D features.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from seqtrain.data.text.labels import shortened
from seqtrain.errors import DataError

MISSING = {"?", "nan", ""}
"""Texts of a missing value, in any case."""
BLOCK = 1 << 24
"""Characters that are parsed at once, which bounds the memory."""


@dataclass(frozen=True)
class SeriesText:
    """The text of one series."""

    features: list[str]
    """The values of each feature, separated by commas."""
    label: str | None
    """Its label; None if the file has none."""
    place: str
    """File and line, for messages."""


def parsed(series: Iterable[SeriesText]) -> Iterator[tuple[SeriesText, np.ndarray]]:
    """Each series with its values, (T, D), float64, NaN where missing.

    Raises:
        DataError: if a value is no number or too large for float32, or the features of a series have different lengths.
    """
    block: list[SeriesText] = []
    size = 0
    for one in series:
        block.append(one)
        size += sum(map(len, one.features))
        if size >= BLOCK:
            yield from zip(block, parsed_block(block), strict=True)
            block, size = [], 0
    if block:
        yield from zip(block, parsed_block(block), strict=True)


def parsed_block(block: list[SeriesText]) -> Iterator[np.ndarray]:
    """The values of each series of a block, (T, D)."""
    lengths = [length_of(series) for series in block]
    flat = parsed_fast(",".join(text for series in block for text in series.features))
    if flat is None:
        numbered = [(series, d, text) for series in block for d, text in enumerate(series.features, start=1)]
        flat = np.concatenate([parsed_slowly(*one) for one in numbered])
    widths = np.array([len(series.features) for series in block])
    ends = np.cumsum(np.array(lengths) * widths)
    if (beyond := np.flatnonzero(np.abs(flat) > np.finfo(np.float32).max)).size:
        row = int(np.searchsorted(ends, beyond[0], side="right"))
        dimension, step = divmod(int(beyond[0] - (ends[row] - lengths[row] * widths[row])), lengths[row])
        text = block[row].features[dimension].split(",")[step].strip()
        raise DataError(
            f"{block[row].place}: dimension {dimension + 1}, value {step + 1}: {text} is beyond the numbers of "
            "float32, which models read; mark it as missing by ?, or use a larger unit"
        )
    for values, length in zip(np.split(flat, ends[:-1]), lengths, strict=True):
        yield values.reshape(-1, length).T


def length_of(series: SeriesText) -> int:
    """Number of steps of a series; raises DataError if its features differ."""
    lengths = [text.count(",") + 1 for text in series.features]
    odd = next((i for i, length in enumerate(lengths) if length != lengths[0]), None)
    if odd is not None:
        raise DataError(
            f"{series.place}: dimension {odd + 1} has {lengths[odd]} values, and dimension 1 has {lengths[0]}; mark "
            "missing values by ?"
        )
    return lengths[0]


def parsed_fast(text: str) -> np.ndarray | None:
    """Numbers separated by commas, NaN where missing; None if one of them may be none."""
    import pyarrow as pa
    from pyarrow import csv

    reading = csv.ReadOptions(use_threads=False, column_names=["value"], block_size=1 << 22)
    parsing = csv.ParseOptions(quote_char=False, ignore_empty_lines=False)
    converting = csv.ConvertOptions(
        column_types={"value": pa.float64()}, null_values=["?", "NaN", "nan", "NAN", ""], strings_can_be_null=True
    )
    try:
        lines = io.BytesIO(text.replace(",", "\n").encode() + b"\n")
        table = csv.read_csv(lines, reading, parsing, converting)
    except pa.ArrowInvalid:
        return None
    numbers: np.ndarray = table.column(0).to_numpy()
    return numbers if len(numbers) == text.count(",") + 1 else None


def parsed_slowly(series: SeriesText, dimension: int, text: str) -> np.ndarray:
    """The values of one feature, (T,); raises DataError for the first that is no number."""
    texts = text.split(",")
    values = np.array([number_of(one) for one in texts])
    unread = np.isnan(values) & [one.strip().lower() not in MISSING for one in texts]
    if unread.any():
        step = int(np.argmax(unread))
        raise DataError(
            f"{series.place}: dimension {dimension}, value {step + 1}: {shortened(texts[step].strip())} is not a "
            "number; mark a missing value by ?"
        )
    return values


def number_of(text: str) -> float:
    """The number that a text is; NaN if it is none."""
    try:
        return np.nan if "_" in text else float(text)
    except ValueError:
        return np.nan


def cut_at_ends(values: list[np.ndarray], origin: str, notes: list[str]) -> list[np.ndarray]:
    """Series without the steps at their end at which all features are missing: files of one length pad with them.

    Args:
        values: (T, D) each.
        origin: the file, for messages.
        notes: gets how many series are shorter.
    """
    lengths = [known_length(series) for series in values]
    short = sum(length < len(series) for length, series in zip(lengths, values, strict=True))
    if short:
        notes.append(
            f"{origin}: {short:,} of {len(values):,} series end before the last of {max(map(len, values)):,} steps, "
            "since the values at their ends are missing"
        )
    return [series[:length] for series, length in zip(values, lengths, strict=True)]


def known_length(series: np.ndarray) -> int:
    """Number of steps up to the last one with a known value."""
    known = np.flatnonzero((~np.isnan(series)).any(1))
    return int(known[-1]) + 1 if known.size else 0
