"""Inserts the rows that are missing from series (``data.fill_gaps``).

Shapes: N rows of K series, D variables.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from seqtrain.data.series.frequency import parse_frequency, step_length
from seqtrain.data.series.table import SeriesTable
from seqtrain.data.series.times import time_text
from seqtrain.errors import DataError

MOST = 10
"""Largest number of rows to insert for each row that there is; more show that a time is wrong."""


def fill_gaps(table: SeriesTable, place: Callable[[int], str]) -> SeriesTable:
    """The table with a row for each step between two rows of a series that the file has no row for.

    Inserted rows have no values, except for static covariates. They are numbered from the number of rows of the source
    on.

    Args:
        table: the rows of a file.
        place: file, line and series of a row, for errors.

    Raises:
        DataError: for the first row that is not at a whole number of steps from the first row of its series, or
            if more than ten rows would be inserted for each row that there is.
    """
    grids: list[np.ndarray] = []
    for start, end in zip(table.offsets[:-1], table.offsets[1:], strict=True):
        times = table.times[start:end]
        grid = grid_between(times[0], times[-1], table)
        off = np.flatnonzero(grid[np.searchsorted(grid, times).clip(max=len(grid) - 1)] != times)
        if off.size:
            distance = table.frequency if table.distance is None else f"{table.distance:,}"
            raise DataError(
                f"{place(start + off[0])}: {time_text(times[off[0]])} is not a whole number of steps ({distance}) "
                f"after the first row of the series, {time_text(times[0])}; correct it, or give data.frequency"
            )
        grids.append(grid)
    offsets = np.cumsum([0, *map(len, grids)])
    inserted = int(offsets[-1]) - len(table.times)
    if inserted == 0:
        return table
    series = np.repeat(np.arange(len(grids)), np.diff(table.offsets))
    places = np.concatenate(
        [
            first + np.searchsorted(grid, table.times[start:end])
            for first, grid, start, end in zip(offsets, grids, table.offsets, table.offsets[1:], strict=False)
        ]
    )
    values, added = np.full((offsets[-1], len(table.names)), np.nan), np.ones(offsets[-1], dtype=bool)
    values[places], added[places] = table.values, False
    rows = np.empty(offsets[-1], dtype=table.rows.dtype)
    rows[places], rows[added] = table.rows, len(table.rows) + np.arange(inserted)
    static = np.array([table.names.index(name) for name in table.static], dtype=np.int64)
    earlier = np.searchsorted(places, np.flatnonzero(added)) - 1
    values[np.ix_(added, static)] = table.values[np.ix_(earlier, static)]
    before = int(np.argmax(np.diff(places) * (np.diff(series) == 0)))
    note = (
        f"{inserted:,} rows that the file lacks are inserted without values (data.fill_gaps), most of them after "
        f"{place(before)}, {time_text(table.times[before])}"
    )
    return replace(
        table,
        times=np.concatenate(grids),
        values=values,
        offsets=offsets,
        rows=rows,
        missing=int(np.isnan(values).sum()),
        notes=[*table.notes, note],
    )


def grid_between(first: Any, last: Any, table: SeriesTable) -> np.ndarray:
    """All times of steps from one time to another.

    Raises:
        DataError: if there are more than ten for each row of the table, so that a time must be wrong.
    """
    import pandas as pd

    offset = None if table.distance is not None else parse_frequency(table.frequency)
    if offset is not None and not isinstance(offset, (pd.offsets.Day, pd.offsets.Tick)):
        return pd.date_range(first, last, freq=offset).to_numpy().astype(first.dtype)
    length: Any = table.distance if offset is None else step_length(offset)
    steps = int((last - first) // length)
    if steps > MOST * len(table.times):
        raise DataError(
            f"{table.origin}: data.fill_gaps=true would insert most of the {steps:,} rows from {time_text(first)} to "
            f"{time_text(last)}, and the file has only {len(table.times):,}; correct the times"
        )
    grid: np.ndarray = first + length * np.arange(steps + 1)
    return grid
