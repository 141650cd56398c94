"""Times of the rows of a file by the clock that fits them.

Dates with an offset from UTC are instants, and are kept in UTC. If the rows are days or longer steps of a place, at the
same time of its day, the place's own dates are kept instead: a day of its daylight saving time has 23 or 25 hours, but
it is one step.

Shapes: N rows.
"""

from zoneinfo import ZoneInfo

import numpy as np

from seqtrain.config.series import SeriesConfig
from seqtrain.data.series.dates import from_epoch, hints, parsed, whole_numbers
from seqtrain.data.series.times import NANOSECONDS, STEP, Clock, RunTimes, TimeColumn, time_text
from seqtrain.errors import DataError


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
    return index.to_numpy().astype(NANOSECONDS)


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
    return local.tz_convert("UTC").tz_localize(None).to_numpy().astype(NANOSECONDS)


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
