"""Times of series: what they are, what a run keeps of them, how they are shown and put in order.

Shapes: N rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.config.series import SeriesConfig
from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow

STEP = "step"
"""The frequency of rows that are equally distant, without a calendar."""
NANOSECONDS = np.dtype("datetime64[ns]")


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
    date, _, clock = str(time.astype(NANOSECONDS)).partition("T")
    return f"{date} {clock[:5] if clock[5:].strip(':.0') == '' else clock.rstrip('0').rstrip('.')}"


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
