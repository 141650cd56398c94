"""Finds values far outside all others of a variable, as -9999 for a missing one.

Shapes: N rows of K series, D variables.
"""

from collections.abc import Callable

import numpy as np

CODES = [
    *(-99.0, -999.0, -9999.0, -99999.0, -999999.0, 999.0, 9999.0, 99999.0, 999999.0, -99.9, -999.9, -9999.9),
    *(-32768.0, 32767.0, -2147483648.0, 2147483647.0, 1e12, -1e12, 1e20, 1e30, -1e30),
]
"""Numbers that files often have for a missing value."""
FAR, FAR_FOR_CODE = 1000.0, 20.0  # distance from all other values, in interquartile ranges of the series
SAMPLE, SHOWN, FEWEST = 2000, 5, 8


def sentinel_notes(values: np.ndarray, offsets: np.ndarray, names: list[str], place: Callable[[int], str]) -> list[str]:
    """A remark on each value that lies so far from all others that it may stand for a missing one.

    The distance of a series' largest and smallest value from its next value is compared with the interquartile range
    of all its other values.

    Args:
        values: all values, NaN where missing, (N, D).
        offsets: first row of each series, and N, (K + 1,).
        names: names of the variables.
        place: file and line of a row.
    """
    starts, stops = offsets[:-1], offsets[1:]
    if len(starts) == 1:
        extremes = np.stack([np.fmin.reduce(values)[None], np.fmax.reduce(values)[None]])  # faster
    else:
        extremes = np.stack([np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)])  # (2, K, D)
    sample = values[:: len(values) // SAMPLE + 1]
    low, high = np.nanquantile(np.where(np.isnan(sample).all(axis=0), 0, sample), (0.25, 0.75), axis=0)
    reach = FAR * (high - low)
    suspect = np.isin(extremes, CODES) | (extremes < low - reach) | (extremes > high + reach)
    found: dict[tuple[int, float], None] = {}
    for side, series, variable in np.argwhere(suspect)[:SAMPLE]:
        value = float(extremes[side, series, variable])
        if is_far(values[starts[series] : stops[series], variable], value):
            found[variable, value] = None
    notes = []
    for variable, value in list(found)[:SHOWN]:
        column = values[:, variable]
        rows, others = np.flatnonzero(column == value), column[column != value]
        written = f"{value:.15g}"
        notes.append(
            f"{place(int(rows[0]))}: {names[variable]!r} is {written} ({len(rows):,} in all), far from all others "
            f"({np.nanmin(others):g} to {np.nanmax(others):g}); if it stands for a missing value, set "
            f"data.missing_values=[{written}]"
        )
    if len(found) > SHOWN:
        notes.append(f"{len(found) - SHOWN:,} more variables have such a value")
    return notes


def is_far(series: np.ndarray, value: float) -> bool:
    """Whether a value of a series, (N,), lies far from all others."""
    others = series[~np.isnan(series) & (series != value)]
    if len(others) < FEWEST:
        return False
    low, high = np.quantile(others, (0.25, 0.75))
    spread = high - low or np.ptp(others)  # most values of rare events are equal
    coded = value in CODES
    return bool(np.abs(others - value).min() > (FAR_FOR_CODE if coded else FAR) * spread and (coded or spread > 0))
