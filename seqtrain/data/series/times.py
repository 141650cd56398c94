"""Times of series: how they are written, read and put in order.

The rows of a file have whole numbers as times, or dates. Dates may have an offset from UTC. Then they are instants, and
are kept in UTC. If the rows are days or longer steps of a place, at the same time of its day, the place's own dates are
kept instead: a day of its daylight saving time has 23 or 25 hours, but it is one step.

Shapes: N rows of K series.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from seqtrain.config.series import SeriesConfig
from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pandas
    import pyarrow

STEP = "step"
"""The frequency of rows that are equally distant, without a calendar."""
Nanoseconds = np.dtype("datetime64[ns]")
YEARS = (1678, 2261)  # that nanoseconds can hold
OFFSET = r"(?i)(?:\d:\d\d(?::\d\d(?:[.,]\d+)?)?|T\d{2,6})\s*(?:[ap]m)?\s*(?P<offset>z|utc|gmt|[+-]\d\d(?::?\d\d)?)$"
EPOCHS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Units of epoch times that whole numbers are recognised by, and how many of them a second has."""


class Clock(Enum):
    """What the times of a file are."""

    number = "number"
    """Whole numbers, or numbers of rows."""
    written = "written"
    """Dates without an offset, as they are written."""
    utc = "utc"
    """Instants, in UTC: dates with an offset, epoch times, or local times of ``data.timezone``."""
    local = "local"
    """Dates of a place, without the offset that they are written with."""


@dataclass(frozen=True)
class RunTimes:
    """What a run keeps of the times that it was trained on."""

    clock: Clock | None
    """None: the run was made before this was kept."""
    distance: int | None
    """Distance of times that are whole numbers; None: they are dates, or it was not kept."""

    @classmethod
    def of(cls, saved: dict[str, Any]) -> "RunTimes":
        """What a scaler.json holds."""
        return cls(Clock(saved["clock"]) if "clock" in saved else None, saved.get("distance"))


@dataclass(frozen=True)
class TimeColumn:
    """The column of times of a file, with what errors need."""

    values: "pyarrow.Array"
    name: str
    origin: str
    place: Callable[[int], str]
    """File and line of a row."""

    def fault(self, row: int, text: str) -> DataError:
        """The error for a row."""
        return DataError(f"{self.place(row)}: column {self.name!r} (data.time_column): {text}")


def time_text(time: np.datetime64 | np.integer) -> str:
    """A time in readable form, without trailing zeros."""
    if isinstance(time, np.integer):
        return str(time)
    date, _, clock = str(time.astype(Nanoseconds)).partition("T")
    return f"{date} {clock[:5] if clock[5:].strip(':.0') == '' else clock.rstrip('0').rstrip('.')}"


def read_times(
    column: TimeColumn, codes: np.ndarray, config: SeriesConfig, run: RunTimes | None, notes: list[str]
) -> tuple[np.ndarray, Clock]:
    """The time of each row, and what the times are.

    Args:
        column: the times as the file has them.
        codes: number of the series of each row, (N,).
        config: the options.
        run: what a run knows of its times, if the file is read for one.
        notes: remarks are added to it.

    Returns:
        Times as datetime64[ns], or as int64 if all are whole numbers, (N,); and their clock.

    Raises:
        DataError: for the first time that cannot be read; if some have an offset and others have none; or if the file
            and the run differ in what times are.
    """
    numbers = whole_numbers(column.values)
    if numbers is not None and config.time_unit is None:
        check_clock(column, Clock.number, config, run)
        notes += hints(numbers)
        if config.timezone is not None:
            notes.append("data.timezone has no effect on times that are whole numbers; data.time_unit makes them dates")
        return numbers, Clock.number
    if config.time_unit is not None:
        if numbers is None:
            raise column.fault(0, f"must be whole numbers, since data.time_unit={config.time_unit}; set it to null")
        times = from_epoch(column, numbers, config.time_unit)
        in_utc = None if config.time_unit == "D" else np.zeros(len(times), "timedelta64[ns]")  # days have no zone
        return in_clock(column, codes, times, in_utc, config, run, notes)
    return in_clock(column, codes, *parsed(column), config, run, notes)


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
    if not pc.all(pc.match_substring_regex(text, r"^[+-]?\d{1,18}$")).as_py():
        return None
    return pc.cast(pc.utf8_ltrim(text, "+"), pa.int64()).to_numpy(zero_copy_only=False)


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
    return numbers.astype(kind).astype(Nanoseconds)


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
            return index.to_numpy().astype(Nanoseconds), None
        instants = index.tz_convert("UTC").tz_localize(None).to_numpy().astype(Nanoseconds)
        return instants, index.tz_localize(None).to_numpy().astype(Nanoseconds) - instants
    text = (
        column.values
        if pa.types.is_string(kind)
        else pa.array([None if value is None else str(value) for value in column.values.to_pylist()], pa.string())
    )
    text = pc.utf8_trim_whitespace(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that formats are guessed one by one; distances are checked later
        index = pd.DatetimeIndex(pd.to_datetime(text.to_pandas(), errors="coerce", utc=True).dt.tz_localize(None))
    check_parsed(column, index)
    found = pc.struct_field(pc.extract_regex(text, OFFSET), "offset")
    none = np.flatnonzero(pc.is_null(found).to_numpy(zero_copy_only=False))
    times = index.to_numpy().astype(Nanoseconds)
    if len(none) == len(times):
        return times, None
    if none.size:
        has = int(np.flatnonzero(pc.is_valid(found).to_numpy(zero_copy_only=False))[0])
        raise column.fault(
            none[0],
            f"{text[int(none[0])].as_py()!r} has no offset from UTC, and {text[has].as_py()!r} has one; write all "
            "times in one way",
        )
    coded = found.dictionary_encode()
    known = np.array([offset_of(each) for each in coded.dictionary.to_pylist()], dtype="timedelta64[m]")
    return times, known[coded.indices.to_numpy(zero_copy_only=False)].astype("timedelta64[ns]")


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


def in_clock(
    column: TimeColumn,
    codes: np.ndarray,
    times: np.ndarray,
    offsets: np.ndarray | None,
    config: SeriesConfig,
    run: RunTimes | None,
    notes: list[str],
) -> tuple[np.ndarray, Clock]:
    """Dates by the clock that fits them, and that clock.

    Args:
        column: the column, for errors.
        codes: number of the series of each row, (N,).
        times: dates, in UTC if they have offsets, (N,).
        offsets: their offsets, (N,); None if they have none.
        config: the options.
        run: what a run knows of its times.
        notes: remarks are added to it.
    """
    if config.timezone is None and offsets is None:
        check_clock(column, Clock.written, config, run)
        return times, Clock.written
    if config.timezone is not None:
        wall = times if offsets is None else to_zone(times, config.timezone)
        daily = steady(wall, codes)
        place = config.timezone
    else:
        assert offsets is not None
        wall, place = times + offsets, "local calendars"
        midnights = bool((wall == wall.astype("datetime64[D]")).all()) and bool(offsets.astype(np.int64).any())
        daily = steady(wall, codes) and (midnights or len(np.unique(offsets)) > 1)
    if run is not None:  # which may have kept other dates than these rows alone would suggest
        check_clock(column, Clock.utc, config, run)
        daily = run.clock is Clock.local
    if daily:
        notes.append(f"times are dates of {place}, without their offsets from UTC")
        return wall, Clock.local
    if config.timezone is not None and offsets is None:
        times = to_utc(column, wall, codes, config.timezone)
    notes.append(
        "times are in UTC" if config.timezone is None else f"times are in UTC; the calendar is that of {place}"
    )
    return times, Clock.utc


def steady(wall: np.ndarray, codes: np.ndarray) -> bool:
    """Whether all rows of each series have the same time of day."""
    time = wall - wall.astype("datetime64[D]")
    names, first = np.unique(codes, return_index=True)
    return bool((time == time[first][np.searchsorted(names, codes)]).all())


def to_zone(times: np.ndarray, zone: str) -> np.ndarray:
    """The clock readings of a time zone at instants that are given in UTC."""
    import pandas as pd

    index = pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(ZoneInfo(zone)).tz_localize(None)
    return index.to_numpy().astype(Nanoseconds)


def to_utc(column: TimeColumn, wall: np.ndarray, codes: np.ndarray, zone: str) -> np.ndarray:
    """The instants, in UTC, of clock readings of a time zone.

    Of an hour that the clock shows twice, at the end of daylight saving time, the first rows are the earlier ones. In a
    series that runs backwards they are the later ones.

    Raises:
        DataError: for a time that the clock never shows.
    """
    import pandas as pd

    index = pd.DatetimeIndex(wall)
    again = pd.DataFrame({"series": codes, "wall": wall}).duplicated().to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    ends = np.append(starts[1:], len(order)) - 1
    backwards = np.zeros(int(codes.max()) + 1, dtype=bool)
    backwards[codes[order[starts]]] = wall[order[starts]] > wall[order[ends]]
    local = index.tz_localize(ZoneInfo(zone), ambiguous=again == backwards[codes], nonexistent="NaT")
    never = np.flatnonzero(local.isna())
    if never.size:
        raise column.fault(
            never[0],
            f"{time_text(wall[never[0]])} does not exist in data.timezone={zone}, where clocks are put forward then "
            f"({never.size:,} in all); correct the zone or the times",
        )
    return local.tz_convert("UTC").tz_localize(None).to_numpy().astype(Nanoseconds)


def check_clock(column: TimeColumn, clock: Clock, config: SeriesConfig, run: RunTimes | None) -> None:
    """Raise DataError if the times of a file are not of the kind that a run was trained on."""
    if run is None or run.clock is None or config.frequency == STEP:
        return
    if (clock is Clock.number) != (run.clock is Clock.number):
        have, want = ("whole numbers", "dates") if clock is Clock.number else ("dates", "whole numbers")
        remedy = (
            "set data.time_unit=, or write dates as 2016-07-31 23:00" if clock is Clock.number else "number the rows"
        )
        raise DataError(
            f"{column.origin}: its times are {have}, and those that the run was trained on are {want}; {remedy}"
        )
    if (clock is Clock.written) == (run.clock is Clock.written) or config.timezone is not None:
        return
    have, want = ("no offset", "one") if clock is Clock.written else ("an offset", "none")
    remedy = (
        "write them as 2016-07-31T23:00+02:00" if clock is Clock.written else "write them as the run's file has them"
    )
    raise DataError(
        f"{column.origin}: its times have {have} from UTC, and those that the run was trained on have {want}; {remedy}"
        ", or train with data.timezone=, which reads both"
    )


def time_order(times: np.ndarray, codes: np.ndarray, config: SeriesConfig, notes: list[str]) -> np.ndarray:
    """Numbers of the rows, series by series and each in order of time, (N,).

    With ``data.frequency=step`` times may occur twice. Then all rows keep the order of the file.

    Args:
        times: time of each row.
        codes: number of the series of each row, (N,).
        config: the options.
        notes: remarks are added to it: on rows that were moved, or that could not be put in order.
    """
    order = np.lexsort((times, codes))
    series = codes[order]
    follows = series[1:] == series[:-1]
    if config.frequency == STEP:
        twice = np.flatnonzero(follows & (times[order[1:]] == times[order[:-1]]))
        if twice.size:
            kept = np.argsort(codes, kind="stable")
            later, earlier = times[kept[1:]] > times[kept[:-1]], times[kept[1:]] < times[kept[:-1]]
            backwards = (follows & earlier).sum() > (follows & later).sum()
            remedy = "they run backwards in time: put the newest row last; " if backwards else ""
            notes.append(
                f"rows keep the order of the file, since {twice.size:,} of them repeat the time of another one (first: "
                f"{time_text(times[order[twice[0]]])}); {remedy}if the file holds several series, set data.id_column"
            )
            return kept
    moved = np.unique(series[1:][follows & (np.diff(order) < 0)])
    if moved.size:
        count = int(series[-1]) + 1
        several = "" if count == 1 else f" (of {moved.size:,} of {count:,} series)"
        notes.append(f"the file's rows{several} are not in order of time; they are read in order of their times")
    return order
