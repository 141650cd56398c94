"""The end of each series of a file as a window that predicts the unknown steps after it.

Shapes: K series, L lookback, S horizon, C targets, D variables.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from seqtrain.config.series import Missing, SeriesConfig
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.series.frequency import next_times
from seqtrain.data.series.reading import read_series
from seqtrain.data.series.saved import SavedSeries
from seqtrain.data.series.table import SeriesTable, left_out_notes, without_untrained
from seqtrain.data.series.times import STEP, time_text
from seqtrain.errors import DataError


def history_data(config: SeriesConfig, trained: Path) -> ForecastingData:
    """Data in which the last window of each series predicts the S steps after its last known row.

    Args:
        config: the options, with the file as ``path``.
        trained: directory of the run whose variables, scaling and frequency are used.

    Raises:
        DataError: as ``with_horizon``, or if the file does not fit the run.
    """
    saved = SavedSeries.read(trained / "scaler.json")
    # Gaps are allowed here: they matter only in the window, and targets may end before future covariates.
    table = read_series(replace(saved.as_trained(config), missing=Missing.mask), saved.times)
    table = without_untrained(table, saved.untrained)
    table.static = saved.static
    return ForecastingData(config, 0, trained, single_split=True, table=with_horizon(table, config))


def with_horizon(table: SeriesTable, config: SeriesConfig) -> SeriesTable:
    """The known rows of each series, followed by S rows whose targets and past covariates are missing.

    If there are future covariates that are not static, the rows up to the last known target are known, and the rows
    after it give the covariates of the horizon. Otherwise, rows without targets and past covariates at the end of a
    series are its horizon.

    With ``data.frequency=step``, the times of the horizon are those of the rows that the file has for it. If it has
    fewer than S, times are step numbers; that of the last known row is 0.

    Series with fewer than L known rows are left out, with a note.

    Raises:
        DataError: if all series are too short; for a series with fewer than S rows of future covariates; for one with
            missing values in the window, if ``config.missing`` is ``error``.
    """
    L, S = config.lookback, config.horizon
    starts, ends = table.offsets[:-1], table.offsets[1:]
    known = starts + [known_rows(table.values[start:end], table) for start, end in zip(starts, ends, strict=True)]
    used = np.flatnonzero(known - starts >= L)
    for k in used if used.size else [0]:
        check_history(table, config, called(table, int(k)), (starts[k], known[k], ends[k]))
    static = [table.names.index(name) for name in table.static]
    numbered = config.frequency == STEP and (ends - known < S)[used].any()
    times, values, rows, missing, unknown = list[np.ndarray](), list[np.ndarray](), list[np.ndarray](), 0, 0
    for start, last in zip(starts[used], known[used], strict=True):
        missing += int(np.isnan(table.values[last - L : last]).sum())
        horizon = np.full((S, len(table.names)), np.nan)
        if follow(table):
            horizon[:, -table.num_future :] = table.values[last : last + S, -table.num_future :]
        horizon[:, static] = table.values[last - 1, static]
        if table.num_future:
            unknown += int(np.isnan(horizon[:, -table.num_future :]).sum())
        if numbered:
            times.append(np.arange(start - last + 1, S + 1))
        elif config.frequency == STEP:
            times.append(table.times[start : last + S])
        else:
            following = next_times(table.times[last - 1], table.frequency, S, table.distance or 1)
            times += [table.times[start:last], following]
        values += [table.values[start:last], horizon]
        rows += [table.rows[start:last], np.full(S, -1)]
    notes = [*table.notes, *left_out_notes(table, used, f"having fewer than data.lookback={L} known rows")]
    if not follow(table) and (after := (ends - known)[used]).any():
        notes.append(
            f"{after.sum():,} rows at the end{of_series(table, np.flatnonzero(after))} have no value; the forecast "
            f"begins at the first of them, {time_text(table.times[known[used][np.argmax(after > 0)]])}"
        )
    if missing:
        notes.append(f"{missing:,} values in the last {L} known rows are missing; data.missing={config.missing.value}")
    if unknown:
        notes.append(
            f"{unknown:,} values of future covariates in the horizon are missing; data.missing={config.missing.value}"
        )
    return replace(
        table,
        times=np.concatenate(times),
        values=np.concatenate(values),
        offsets=np.concatenate([[0], np.cumsum(known[used] - starts[used] + S)]),
        ids=[table.ids[k] for k in used],
        rows=np.concatenate(rows),
        missing=missing + unknown,
        notes=notes,
    )


def follow(table: SeriesTable) -> bool:
    """Whether rows of future covariates, other than static ones, follow the known rows."""
    return table.num_future > len(table.static)


def called(table: SeriesTable, series: int) -> str:
    """The name of a series for errors."""
    name = table.ids[series]
    return table.origin if name == "" else f"{table.origin}, series {name!r}"


def of_series(table: SeriesTable, series: np.ndarray) -> str:
    """A clause that counts series; empty if there is only one."""
    return "" if len(table.ids) == 1 else f" of {len(series):,} series"


def known_rows(values: np.ndarray, table: SeriesTable) -> int:
    """Number of rows of a series up to its last known target.

    If no future covariates follow, a row with past covariates is known too.
    """
    deciding = values[:, : table.num_targets + (0 if follow(table) else table.num_past)]
    known = np.flatnonzero(~np.isnan(deciding).all(axis=1))
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
