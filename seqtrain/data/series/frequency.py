"""The frequency of series: the distance in time of consecutive rows.

Each series may start anywhere, but its own rows follow each other at the frequency. The frequency ``step`` means equal
distances without a calendar.

Shapes: N rows of K series, each series in order of time.
"""

import re
import warnings
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.data.series.times import STEP, time_text
from seqtrain.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas

DAY = np.timedelta64(1, "D")
RENAMED = {
    **{"M": "ME", "BM": "BME", "CBM": "CBME", "SM": "SME", "Q": "QE", "BQ": "BQE", "A": "YE", "Y": "YE"},
    **{"BA": "BYE", "BY": "BYE", "AS": "YS", "BAS": "BYS", "H": "h", "BH": "bh", "T": "min", "S": "s", "L": "ms"},
    **{"U": "us", "N": "ns"},
}
"""Names of frequencies that pandas had before version 2.2, and their names since."""
COMMON = {"Week": ("D", 7), "QuarterBegin": ("MS", 3), "QuarterEnd": ("ME", 3), "YearBegin": ("MS", 12)}
COMMON |= {"YearEnd": ("ME", 12), "BQuarterBegin": ("BMS", 3), "BQuarterEnd": ("BME", 3), "BYearBegin": ("BMS", 12)}
COMMON |= {"BYearEnd": ("BME", 12)}
"""Offsets of pandas that are anchored at a weekday or month, and what series with other anchors have in common."""


def find_frequency(
    times: np.ndarray,
    offsets: np.ndarray,
    wanted: str | None,
    place: Callable[[int], str],
    distance: int | None = None,
    gaps: bool = False,
    trained: bool = False,
) -> tuple[str, int | None]:
    """The frequency of series, checked to be the same everywhere.

    Args:
        times: time of each row, datetime64[ns] or int64, (N,).
        offsets: first row of each series, and N, (K + 1,).
        wanted: the expected frequency, as pandas writes it. None infers it from the longest series; ``step`` treats
            rows as equally distant, whatever their times.
        place: file, line and series of a row, for errors.
        distance: the expected distance of times that are whole numbers; None takes that of the first rows.
        gaps: allow that rows are missing.
        trained: whether the frequency and the distance are those of a run.

    Returns:
        The frequency, as pandas writes it, or ``step``; and the distance of times that are whole numbers. That is None
        for dates, and if each series has a single row.

    Raises:
        ConfigError: if pandas does not know ``wanted``.
        DataError: for the first time that occurs twice or is at another distance; if no frequency can be inferred; or
            if ``wanted`` is a frequency of dates and times are whole numbers.
    """
    if wanted == STEP:
        return STEP, None
    inside = np.ones(max(len(times) - 1, 0), dtype=bool)
    inside[offsets[1:-1] - 1] = False  # not from the end of one series to the start of the next
    distances = np.diff(times)
    twice = np.flatnonzero(inside & (distances == distances.dtype.type(0)))
    if twice.size:
        raise DataError(
            f"{place(twice[0] + 1)}: time {time_text(times[twice[0]])} occurs twice; keep one row of each time or, if "
            "the file holds several series, name the column that tells them apart as data.id_column"
        )
    if times.dtype.kind == "i":
        if wanted is not None:
            raise DataError(
                f"{place(0)}: its times are whole numbers, and the frequency {wanted!r} (data.frequency, or else that "
                "of the run) is one of dates; write dates as 2016-07-31 23:00, set data.time_unit=, or set "
                "data.frequency=step"
            )
        return STEP, whole_distance(times, np.flatnonzero(inside), place, distance, gaps)
    frequency = wanted or infer(times, offsets, place)
    wrong = off_step(times, offsets, parse_frequency(frequency))
    if wrong.size and wanted is None and (common := common_frequency(frequency)) is not None:
        others = off_step(times, offsets, parse_frequency(common))
        if not others.size:
            return common, None
    if wrong.size and not gaps:
        row = int(wrong[0])
        series = int(np.searchsorted(offsets, row, side="right")) - 1
        own = None if wanted is None else infer_one(times[offsets[series] : offsets[series + 1]])
        source = "inferred" if wanted is None else "of the run" if trained else "data.frequency"
        gap = f"{place(row + 1)}: {time_text(times[row + 1])} does not follow {time_text(times[row])}"
        if own is not None:
            remedy = "give a file of that frequency" if trained else f"set data.frequency={own}"
            raise DataError(
                f"{gap}; the frequency is {frequency} ({source}), and the times of the series have the frequency "
                f"{own}: {remedy}"
            )
        more = (
            "; or take rows as steps by data.frequency=step; or, if these are not the file's times, write them as "
            "2016-07-31 23:00, or name the time zone of local times as data.timezone"
        )
        raise DataError(
            f"{gap} at the distance of other rows; the frequency is {frequency} ({source}): add the rows between with "
            f"empty values (data.fill_gaps=true does it) and set data.missing={'' if trained else more}"
        )
    return frequency, None


def whole_distance(
    times: np.ndarray, followed: np.ndarray, place: Callable[[int], str], expected: int | None, gaps: bool
) -> int | None:
    """The distance of times that are whole numbers; see ``find_frequency``.

    Args:
        times: time of each row, (N,).
        followed: rows after which one of the same series follows.
        place: file, line and series of a row.
        expected: the distance that times must have.
        gaps: whether rows may be missing; then the distance is the most frequent one.
    """
    distances = np.diff(times)[followed]
    if not distances.size:
        return expected
    usual = int(distances[0])
    if gaps:
        found, counts = np.unique(distances, return_counts=True)
        usual = int(found[counts.argmax()]) if expected is None else expected
    if expected is not None and usual != expected:
        raise DataError(
            f"{place(int(followed[0]))}: times are {usual:,} apart, and those that the run was trained on were "
            f"{expected:,} apart; give a file of the same distance, or train on this one"
        )
    wrong = followed[distances != usual]
    if wrong.size and not gaps:
        row = wrong[0]
        # Dates written as YYYYMMDD are not numbers of steps; that shows at the end of the first month.
        raise DataError(
            f"{place(row + 1)}: {time_text(times[row + 1])} does not follow {time_text(times[row])} at the distance of "
            "other rows; add the rows between with empty values, write dates as 2016-07-31, give the unit of epoch "
            "times as data.time_unit, or give data.frequency=step"
        )
    return usual


def parse_frequency(frequency: str) -> "pandas.DateOffset":
    """The pandas object of a frequency; raises ConfigError if pandas does not know it."""
    import pandas as pd

    old = re.fullmatch(r"(\d*)([A-Z]+)(-[A-Z]{3})?", frequency)
    if old is not None and old[2] in RENAMED:
        new = RENAMED[old[2]]
        starts = f" (ends), or {old[1]}{new[:-1]}S (starts)" if new.endswith("E") else ""
        right = f"{old[1]}{new}{old[3] or ''}{starts}"
        raise ConfigError(f"data.frequency={frequency!r}: is the name that pandas had before 2.2; write {right}")
    try:
        offset = pd.tseries.frequencies.to_offset(frequency)
        if offset.n < 1:
            raise ValueError
    except ValueError as error:
        allowed = "null, step or one of pandas, such as 15min, h, D, B, W-MON, MS"
        raise ConfigError(f"data.frequency={frequency!r}: must be {allowed}") from error
    return offset


def infer(times: np.ndarray, offsets: np.ndarray, place: Callable[[int], str]) -> str:
    """The frequency of the longest series or, if it has a gap, that of most of its stretches of 10 rows."""
    longest = int(np.diff(offsets).argmax())
    series = times[offsets[longest] : offsets[longest + 1]]
    if len(series) < 3:
        raise DataError(
            f"{place(int(offsets[longest]))}: data.frequency=null: cannot be inferred from {len(series)} rows; give it "
            "as pandas writes it (h, D, MS)"
        )
    whole = infer_one(series)
    if whole is not None:
        return whole
    starts = np.unique(np.linspace(0, max(0, len(series) - 10), 50).astype(int))
    votes = Counter(part for start in starts if (part := infer_one(series[start : start + 10])) is not None)
    if not votes:
        shown = ", ".join(time_text(time) for time in series[:4])
        raise DataError(
            f"{place(int(offsets[longest]))}: data.frequency=null: cannot be inferred from {shown}, ...; forecasting "
            "needs rows at equal distances: resample them, or take rows as steps by data.frequency=step"
        )
    return votes.most_common(1)[0][0]


def infer_one(times: np.ndarray) -> str | None:
    """The frequency of times, as pandas writes it; None if they have none."""
    import pandas as pd

    if len(times) < 3:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it will return an object in future
        found = pd.infer_freq(pd.DatetimeIndex(times))
    return None if found is None else str(getattr(found, "freqstr", found))


def common_frequency(frequency: str) -> str | None:
    """The frequency without its anchor at a weekday or month, as W-MON is 7D; None if it has no anchor."""
    offset = parse_frequency(frequency)
    unit, count = COMMON.get(type(offset).__name__, (None, 0))
    return None if unit is None else f"{count * offset.n}{unit}"


def off_step(times: np.ndarray, offsets: np.ndarray, offset: "pandas.DateOffset") -> np.ndarray:
    """Rows whose next one, in the same series, is not the next step."""
    import pandas as pd

    if len(times) < 2:
        return np.zeros(0, dtype=np.int64)
    inside = np.ones(len(times) - 1, dtype=bool)
    inside[offsets[1:-1] - 1] = False
    if isinstance(offset, (pd.offsets.Day, pd.offsets.Tick)):
        return np.flatnonzero(inside & (np.diff(times) != step_length(offset)))
    unique, number = np.unique(times[:-1][inside], return_inverse=True)
    index = pd.DatetimeIndex(unique)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)  # that some offsets are added one by one
        following = (index + offset).to_numpy().astype(times.dtype)
    following[~np.fromiter(map(offset.is_on_offset, index), dtype=bool, count=len(index))] = np.datetime64("NaT")
    return np.flatnonzero(inside)[following[number] != times[1:][inside]]


def step_length(offset: "pandas.DateOffset") -> np.timedelta64:
    """The length of a step of days or a smaller unit."""
    import pandas as pd

    days = isinstance(offset, pd.offsets.Day)  # not a Tick since pandas 3
    return offset.n * DAY if days else pd.Timedelta(offset).to_timedelta64()


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
