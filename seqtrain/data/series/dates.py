"""Reads times as they are written: whole numbers, epoch times, and dates with or without an offset from UTC.

Shapes: N rows.
"""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.data.series.times import NANOSECONDS, TimeColumn, time_text

if TYPE_CHECKING:
    import pandas
    import pyarrow

YEARS = (1678, 2261)  # that nanoseconds can hold
OFFSET = r"(?i)(?:\d:\d\d(?::\d\d(?:[.,]\d+)?)?|T\d{2,6})\s*(?:[ap]m)?\s*(?P<offset>z|utc|gmt|[+-]\d\d(?::?\d\d)?)$"
EPOCHS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Units of epoch times that whole numbers are recognised by, and how many of them a second has."""


def whole_numbers(values: "pyarrow.Array") -> np.ndarray | None:
    """Times that are all whole numbers, int64, (N,); None for others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if values.null_count:
        return None
    if pa.types.is_integer(kind):
        return values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    if pa.types.is_floating(kind):
        floats = values.to_numpy(zero_copy_only=False)
        whole = np.isfinite(floats).all() and (floats == np.trunc(floats)).all() and (np.abs(floats) < 2**53).all()
        return floats.astype(np.int64) if whole else None
    if not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
        return None
    text = pc.utf8_trim_whitespace(values)
    if not pc.all(pc.match_substring_regex(text, r"^[+-]?\d{1,19}$")).as_py():
        return None
    try:
        return pc.cast(pc.utf8_ltrim(text, "+"), pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:  # more than 64 bits
        return None


def hints(numbers: np.ndarray) -> list[str]:
    """A remark on whole numbers that look like dates; a list of one, or empty."""
    low, high = int(numbers.min()), int(numbers.max())
    for unit, count in EPOCHS.items():
        if 100_000_000 * count <= low and high <= 4_200_000_000 * count:  # 1973 to 2103
            first = time_text(np.int64(low).astype(f"datetime64[{unit}]"))
            return [
                f"times are whole numbers, and are taken as steps; they look like epoch times ({low} is {first}): "
                f"data.time_unit={unit} makes them dates"
            ]
    months = numbers // 100 % 100
    days = numbers % 100
    if low >= 19000101 and high <= 21001231 and ((months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all():
        return [
            f"times are whole numbers, and are taken as steps; they look like dates ({low}): write dates as "
            f"{low // 10000}-{low // 100 % 100:02}-{low % 100:02}"
        ]
    return []


def from_epoch(column: TimeColumn, numbers: np.ndarray, unit: str) -> np.ndarray:
    """Epoch times of a unit (D, s, ms, us or ns) as datetime64[ns] in UTC."""
    kind = f"datetime64[{unit}]"
    first, last = (np.datetime64(f"{year}-01-01").astype(kind).astype(np.int64) for year in (YEARS[0], YEARS[1] + 1))
    bad = np.flatnonzero((numbers < first) | (numbers >= last))
    if bad.size:
        raise column.fault(
            bad[0],
            f"{numbers[bad[0]]} is not a time in the years {YEARS[0]} to {YEARS[1]} with data.time_unit={unit} "
            f"({bad.size:,} in all); choose another unit",
        )
    return numbers.astype(kind).astype(NANOSECONDS)


def parsed(column: TimeColumn) -> tuple[np.ndarray, np.ndarray | None]:
    """Dates as datetime64[ns], in UTC if they have an offset; and the offsets, timedelta64[ns], None without any.

    Raises:
        DataError: for the first that is no time, or that alone has an offset or none.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        index = pd.DatetimeIndex(
            column.values.cast(pa.timestamp("ns", kind.tz if hasattr(kind, "tz") else None)).to_pandas()
        )
        check_parsed(column, index)
        if index.tz is None:
            return index.to_numpy().astype(NANOSECONDS), None
        instants = index.tz_convert("UTC").tz_localize(None).to_numpy().astype(NANOSECONDS)
        return instants, index.tz_localize(None).to_numpy().astype(NANOSECONDS) - instants
    text = (
        column.values
        if pa.types.is_string(kind)
        else pa.array([None if value is None else str(value) for value in column.values.to_pylist()], pa.string())
    )
    coded = pc.utf8_trim_whitespace(text).dictionary_encode()  # series of a panel share their times
    known, place = coded.dictionary, pc.fill_null(coded.indices, len(coded.dictionary)).to_numpy(zero_copy_only=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that formats are guessed one by one; distances are checked later
        unique = pd.DatetimeIndex(pd.to_datetime(known.to_pandas(), errors="coerce", utc=True).dt.tz_localize(None))
    index = unique.insert(len(unique), pd.NaT).take(place)
    check_parsed(column, index)
    times = index.to_numpy().astype(NANOSECONDS)
    offsets = pc.struct_field(pc.extract_regex(known, OFFSET), "offset").to_pylist()
    if not any(offsets):
        return times, None
    if None in offsets:
        without, having = offsets.index(None), next(i for i, offset in enumerate(offsets) if offset)
        raise column.fault(
            int(np.argmax(place == without)),
            f"{known[without].as_py()!r} has no offset from UTC, and {known[having].as_py()!r} has one; write all "
            "times in one way",
        )
    minutes = np.array([offset_of(offset) for offset in offsets], dtype="timedelta64[m]")
    return times, minutes[place].astype("timedelta64[ns]")


def offset_of(text: str) -> int:
    """Minutes of an offset from UTC, as +01:00, -0530, +01 or Z."""
    if text[0] not in "+-":
        return 0
    digits = text[1:].replace(":", "").ljust(4, "0")
    return (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if text[0] == "-" else 1)


def check_parsed(column: TimeColumn, index: "pandas.DatetimeIndex") -> None:
    """Raise DataError for the first that is no time, or outside the years that nanoseconds can hold."""
    bad = np.flatnonzero(~((index.year >= YEARS[0]) & (index.year <= YEARS[1])))  # also if missing
    if not bad.size:
        return
    row = int(bad[0])
    value, first = (column.values[i].as_py() for i in (row, 0))
    if value is None or str(value).strip() == "":
        raise column.fault(row, f"is empty ({bad.size:,} in all); give each row a time")
    as_first = "" if row == 0 else f" written as the first one, {str(first)!r}"
    raise column.fault(
        row,
        f"{str(value)!r} cannot be read as a time{as_first} ({bad.size:,} in all); write all times in one way, as "
        "2016-07-31 or 2016-07-31 23:00",
    )
