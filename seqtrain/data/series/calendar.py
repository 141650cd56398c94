"""Times of series: their frequency, the usual season of a frequency, and calendar features of each step.

The frequency ``step`` means equal distances without a calendar.

Shapes: N rows of K series, each series in order of time; F features.
"""

import warnings
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas

STEP = "step"
SEASONS = {"D": 7, "B": 5, "W": 52, "M": 12, "Q": 4}  # steps; a step of less than a day has the season of a day
DAY = np.timedelta64(1, "D")


def time_text(time: np.datetime64 | np.integer) -> str:
    """A time in readable form, without trailing zeros."""
    if isinstance(time, np.integer):
        return str(time)
    date, _, clock = str(time.astype("datetime64[ns]")).partition("T")
    return f"{date} {clock[:5] if clock[5:].strip(':.0') == '' else clock.rstrip('0').rstrip('.')}"


def parse_times(column: "pandas.Series", origin: str, notes: list[str]) -> np.ndarray:
    """Times as datetime64[ns], or as int64 if all are whole numbers, (N,); raises DataError for the first invalid one.

    Times with an offset are converted to UTC.
    """
    import pandas as pd

    text = column.astype(str).str.strip()
    if text.str.fullmatch(r"[+-]?\d{1,18}").all():
        return text.to_numpy().astype(np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that formats are guessed one by one; distances are checked later
        parsed = pd.to_datetime(text, errors="coerce", utc=True)
    bad = np.flatnonzero(~parsed.dt.year.between(1678, 2261))  # also if missing; the years that nanoseconds can hold
    if bad.size:
        raise DataError(
            f"{origin}: column {column.name!r} (data.time_column): {text.iloc[bad[0]]!r} in row {bad[0] + 1} is "
            f"not a time, or not written as {text.iloc[0]!r} ({bad.size} in all); write times as 2016-07-31 23:00"
        )
    if pd.Timestamp(text.iloc[0]).tzinfo is not None:
        notes.append("times are in UTC")
    return parsed.dt.tz_localize(None).to_numpy().astype("datetime64[ns]")


def find_frequency(times: np.ndarray, offsets: np.ndarray, wanted: str | None, names: list[str]) -> str:
    """The frequency of series: the distance in time of consecutive rows, checked to be the same everywhere.

    Args:
        times: time of each row, datetime64[ns] or int64, (N,).
        offsets: first row of each series, and N, (K + 1,).
        wanted: the expected frequency, as pandas writes it. None infers it from the longest series; ``step`` treats
            rows as equally distant, whatever their times.
        names: K names of the series, for errors.

    Returns:
        The frequency, as pandas writes it, or ``step``.

    Raises:
        ConfigError: if pandas does not know ``wanted``.
        DataError: for the first time that occurs twice or is at another distance; if no frequency can be inferred; or
            if ``wanted`` is a frequency of dates and times are whole numbers.
    """
    if wanted == STEP:
        return STEP
    distances = np.diff(times)
    inside = np.ones(len(distances), dtype=bool)
    inside[offsets[1:-1] - 1] = False  # not from the end of one series to the start of the next
    twice = np.flatnonzero(inside & (distances == distances.dtype.type(0)))
    if twice.size:
        raise DataError(
            f"{called(twice[0], offsets, names)}: time {time_text(times[twice[0]])} occurs twice; keep one row of "
            "each time or, if the file holds several series, name the column that tells them apart as data.id_column"
        )
    if times.dtype.kind == "i":
        if wanted is not None:
            raise DataError(
                f"{names[0]}: its times are whole numbers, and the frequency {wanted!r} (data.frequency, or else that "
                "of the run) is one of dates; write dates as 2016-07-31 23:00, or set data.frequency=step"
            )
        # Dates written as YYYYMMDD are not numbers of steps; that shows at the end of the first month.
        remedy = "; add the rows between with empty values, write dates as 2016-07-31, or give data.frequency=step"
        followed = np.flatnonzero(inside)  # empty if each series has a single row
        wrong = followed[distances[followed] != distances[followed[:1]]]
        frequency = STEP
    else:
        frequency = wanted or infer(times, offsets)
        offset = parse_frequency(frequency)
        wrong = np.flatnonzero(off_step(times, inside, offset))
        remedy = (
            f"; the frequency is {frequency} ({'data.frequency' if wanted else 'inferred'}): add the rows between with "
            "empty values and set data.missing=; or take rows as steps by data.frequency=step; or, if these are not "
            "the file's times, write them as 2016-07-31 23:00"
        )
    if wrong.size:
        row = wrong[0]
        raise DataError(
            f"{called(row, offsets, names)}: {time_text(times[row + 1])} does not follow {time_text(times[row])} at "
            f"the distance of other rows{remedy}"
        )
    return frequency


def called(row: int, offsets: np.ndarray, names: list[str]) -> str:
    """The name, for errors, of the series that a row belongs to."""
    return names[np.searchsorted(offsets, row, side="right") - 1]


def parse_frequency(frequency: str) -> "pandas.DateOffset":
    """The pandas object of a frequency; raises ConfigError if pandas does not know it."""
    import pandas as pd

    try:
        offset = pd.tseries.frequencies.to_offset(frequency)
        if offset.n < 1:
            raise ValueError
    except ValueError as error:
        allowed = "null, step or one of pandas, such as 15min, h, D, B, W, MS"
        raise ConfigError(f"data.frequency={frequency!r}: must be {allowed}") from error
    return offset


def infer(times: np.ndarray, offsets: np.ndarray) -> str:
    """The frequency of the longest series or, if it has a gap, that of most of its stretches of 10 rows."""
    longest = int(np.diff(offsets).argmax())
    series = times[offsets[longest] : offsets[longest + 1]]
    if len(series) < 3:
        raise DataError(
            f"data.frequency=null: cannot be inferred from {len(series)} rows; give it as pandas writes it (h, D, MS)"
        )
    whole = infer_one(series)
    if whole is not None:
        return whole
    starts = np.unique(np.linspace(0, max(0, len(series) - 10), 50).astype(int))
    votes = Counter(part for start in starts if (part := infer_one(series[start : start + 10])) is not None)
    if not votes:
        shown = ", ".join(time_text(time) for time in series[:4])
        raise DataError(
            f"data.frequency=null: cannot be inferred from {shown}, ...; forecasting needs rows at equal distances: "
            "resample them, or take rows as steps by data.frequency=step"
        )
    return votes.most_common(1)[0][0]


def infer_one(times: np.ndarray) -> str | None:
    """The frequency of times, as pandas writes it; None if they have none."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it will return an object in future
        found = pd.infer_freq(pd.DatetimeIndex(times))
    return None if found is None else str(getattr(found, "freqstr", found))


def off_step(times: np.ndarray, inside: np.ndarray, offset: "pandas.DateOffset") -> np.ndarray:
    """Whether the row after each row is not the next step, (N - 1,); false between series."""
    import pandas as pd

    if isinstance(offset, (pd.offsets.Day, pd.offsets.Tick)):
        days = isinstance(offset, pd.offsets.Day)  # not a Tick since pandas 3
        distance = offset.n * DAY if days else pd.Timedelta(offset).to_timedelta64()
        return inside & (np.diff(times) != distance)
    grid = pd.date_range(times.min(), times.max(), freq=offset).to_numpy().astype(times.dtype)
    if len(grid) == 0:
        return inside
    place = np.searchsorted(grid, times)
    known = grid[place.clip(max=len(grid) - 1)] == times
    return inside & ((np.diff(place) != 1) | ~known[1:] | ~known[:-1])


def next_times(time: np.datetime64 | np.integer, frequency: str, count: int, distance: int = 1) -> np.ndarray:
    """The times of the steps after a time, (count,); ``distance`` is that of times which are whole numbers."""
    import pandas as pd

    if isinstance(time, np.integer):
        return time + distance * np.arange(1, count + 1)
    following = pd.date_range(time, periods=count + 1, freq=parse_frequency(frequency)).to_numpy().astype(time.dtype)
    return following[following > time][:count]


def unit(frequency: str) -> tuple[str, int]:
    """Letter of a frequency's unit and the number of units; ``min`` for units below an hour.

    Month and quarter ends and starts have the same letter.
    """
    import pandas as pd

    offset = parse_frequency(frequency)
    if isinstance(offset, pd.offsets.Tick) and not isinstance(offset, pd.offsets.Day):
        return ("h" if pd.Timedelta(offset) % pd.Timedelta(hours=1) == pd.Timedelta(0) else "min"), offset.n
    return offset.rule_code.split("-")[0].removesuffix("S").removesuffix("E").lstrip("B") or "B", offset.n


def default_season(frequency: str) -> int:
    """Number of steps of the usual season of a frequency (a day of hours, a week of days, a year of months), else 1."""
    import pandas as pd

    if frequency == STEP:
        return 1
    name, count = unit(frequency)
    if name in ("h", "min"):
        steps = pd.Timedelta(days=1) / pd.Timedelta(parse_frequency(frequency))
        return int(steps) if steps.is_integer() else 1
    season = SEASONS.get(name, 1)
    return season // count if season % count == 0 else 1


def calendar_features(times: np.ndarray, frequency: str) -> tuple[np.ndarray, list[str]]:
    """Minute, hour, day of week, day of month and day of year: those that can change from step to step.

    Each ranges from -0.5 to 0.5, as in Informer (Zhou et al. 2021) and GluonTS.

    Returns:
        Features (N, F), float32, and their names.

    Raises:
        ConfigError: if the times have no calendar.
    """
    import pandas as pd

    if times.dtype.kind == "i" or frequency == STEP:
        raise ConfigError("data.calendar=true: must be false, since the times are steps and not dates with a frequency")
    index = pd.DatetimeIndex(times)
    features = {
        "minute_of_hour": index.minute / 59,
        "hour_of_day": index.hour / 23,
        "day_of_week": index.day_of_week / 6,
        "day_of_month": (index.day - 1) / 30,
        "day_of_year": (index.day_of_year - 1) / 365,
    }
    # Chosen by frequency, not by the values: a short file must give the features that the model was trained on.
    constant = {"min": 0, "h": 1, "D": 2, "B": 2, "W": 3}.get(unit(frequency)[0], 4)
    names = list(features)[constant:]
    return np.stack([features[name].to_numpy(np.float32) - np.float32(0.5) for name in names], axis=1), names
