"""The end of each series of a file as a window that predicts the unknown steps after it.

Shapes: K series, L lookback, S horizon, C targets, D variables.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from seqtrain.config.series import Missing, SeriesConfig
from seqtrain.data.series.calendar import STEP, next_times, time_text
from seqtrain.data.series.dataset import ForecastingData, as_trained, read_saved
from seqtrain.data.series.reading import read_series
from seqtrain.data.series.table import SeriesTable
from seqtrain.errors import DataError


def history_data(config: SeriesConfig, trained: Path) -> ForecastingData:
    """Data in which the last window of each series predicts the S steps after its last known row.

    Args:
        config: the options, with the file as ``path``.
        trained: directory of the run whose variables, scaling and frequency are used.

    Raises:
        DataError: as ``with_horizon``, or if the file does not fit the run.
    """
    saved = read_saved(trained / "scaler.json")
    # Gaps are allowed here: they matter only in the window, and targets may end before future covariates.
    table = read_series(replace(as_trained(config, saved), missing=Missing.mask))
    table.static = saved.get("static", [])
    return ForecastingData(config, 0, trained, single_split=True, table=with_horizon(table, config))


def with_horizon(table: SeriesTable, config: SeriesConfig) -> SeriesTable:
    """The known rows of each series, followed by S rows whose targets and past covariates are missing.

    All rows of a series are known. If there are future covariates that are not static, only those up to the last known
    target are, and the rows after it give the covariates of the horizon. With ``data.frequency=step``, times are step
    numbers; that of the last known row is 0.

    Raises:
        DataError: for a series with fewer than L known rows or fewer than S rows of future covariates; for one with
            missing values in the window, if ``config.missing`` is ``error``.
    """
    L, S = config.lookback, config.horizon
    distances = np.diff(table.times)[np.diff(np.repeat(np.arange(len(table.ids)), np.diff(table.offsets))) == 0]
    distance = int(distances[0]) if table.times.dtype.kind == "i" and len(distances) else 1
    times, values, rows, lengths, missing = list[np.ndarray](), list[np.ndarray](), list[np.ndarray](), [0], 0
    for name, start, end in zip(table.ids, table.offsets[:-1], table.offsets[1:], strict=True):
        known = start + known_rows(table.values[start:end], table)
        called = table.origin if name == "" else f"{table.origin}, series {name!r}"
        check_history(table, config, called, (start, known, end))
        missing += int(np.isnan(table.values[known - L : known]).sum())
        horizon = np.full((S, len(table.names)), np.nan)
        if follow(table):
            horizon[:, -table.num_future :] = table.values[known : known + S, -table.num_future :]
        static = [table.names.index(name) for name in table.static]
        horizon[:, static] = table.values[known - 1, static]
        if config.frequency == STEP:
            times.append(np.arange(start - known + 1, S + 1))
        else:
            times += [table.times[start:known], next_times(table.times[known - 1], table.frequency, S, distance)]
        values += [table.values[start:known], horizon]
        rows += [table.rows[start:known], np.full(S, -1)]
        lengths.append(known - start + S)
    notes = [*table.notes]
    if missing:
        notes.append(f"{missing:,} values in the last {L} known rows are missing; data.missing={config.missing.value}")
    return replace(
        table,
        times=np.concatenate(times),
        values=np.concatenate(values),
        offsets=np.cumsum(lengths),
        rows=np.concatenate(rows),
        missing=missing,
        notes=notes,
    )


def follow(table: SeriesTable) -> bool:
    """Whether rows of future covariates, other than static ones, follow the known rows."""
    return table.num_future > len(table.static)


def known_rows(values: np.ndarray, table: SeriesTable) -> int:
    """Number of rows of a series up to its last known target; of all rows if no future covariates follow."""
    if not follow(table):
        return len(values)
    known = np.flatnonzero(~np.isnan(values[:, : table.num_targets]).all(axis=1))
    return int(known[-1]) + 1 if len(known) else 0


def check_history(table: SeriesTable, config: SeriesConfig, called: str, rows: tuple[int, int, int]) -> None:
    """Raise DataError for a series that cannot be forecast from.

    Args:
        table: the rows of the file.
        config: the options.
        called: name of the series, for errors.
        rows: first row of the series, the row after its last known one, and the row after its last one.
    """
    L, S = config.lookback, config.horizon
    start, known, end = rows
    if known - start < L:
        counted = "rows up to its last known target" if follow(table) else "rows"
        raise DataError(
            f"{called}: has {known - start:,} {counted}, and a forecast needs data.lookback={L} of them; give a longer "
            "history"
        )
    future = [name for name in table.names[len(table.names) - table.num_future :] if name not in table.static]
    if follow(table) and end - known < S:
        raise DataError(
            f"{called}: future covariates ({', '.join(future)}) are missing: {end - known:,} rows follow the last "
            f"known target, of {time_text(table.times[known - 1])}, and data.horizon={S} needs as many; add rows with "
            "the covariates of the horizon and empty targets"
        )
    if config.missing is not Missing.error:
        return
    needed = table.values[known - L : known + (S if follow(table) else 0)].copy()
    needed[L:, [name not in future for name in table.names]] = 0
    absent = np.argwhere(np.isnan(needed))
    if len(absent):
        row, variable = absent[0]
        raise DataError(
            f"{called}: {len(absent):,} values that the forecast needs are missing, the first one of "
            f"{table.names[variable]!r} at {time_text(table.times[known - L + row])}; fill them, or set "
            "data.missing=interpolate or data.missing=mask"
        )
