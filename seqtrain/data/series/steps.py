"""Numbers of the steps of series: the same time has the same number in every file of a frequency.

Shapes: N rows of K series.
"""

import numpy as np

from seqtrain.data.series.frequency import parse_frequency, step_length, unit
from seqtrain.data.series.table import SeriesTable
from seqtrain.data.series.times import STEP

EPOCH = np.datetime64(0, "ns")
MONTHS = {"M": 1, "Q": 3, "Y": 12}  # of a month, a quarter and a year


def step_numbers(table: SeriesTable) -> np.ndarray:
    """Number of the step of each row, (N,), int64: from 1970 on or, where times do not tell, from a series' start."""
    numbers = numbers_of_times(table)
    if numbers is None:
        numbers = np.arange(len(table.times)) - np.repeat(table.offsets[:-1], np.diff(table.offsets))
    return numbers


def numbers_of_times(table: SeriesTable) -> np.ndarray | None:
    """Number of the step at each time, (N,); None if times do not tell.

    Times do not tell with ``data.frequency=step``, in computed series, and for frequencies that are no multiple of a
    day, a working day, a week, a month or a shorter unit (half months, business hours).
    """
    import pandas as pd

    times = table.times
    if table.frequency == STEP:
        return None if table.distance is None else times // table.distance
    offset = parse_frequency(table.frequency)
    letter, count = unit(table.frequency)
    if isinstance(offset, (pd.offsets.Day, pd.offsets.Tick)):
        return (times - EPOCH) // step_length(offset)
    days = times.astype("datetime64[D]")
    if letter == "W":
        return days.astype(np.int64) // (7 * count)
    if letter == "B":
        return np.busday_count(EPOCH.astype("datetime64[D]"), days) // count
    if letter in MONTHS:
        return times.astype("datetime64[M]").astype(np.int64) // (MONTHS[letter] * count)
    return None
