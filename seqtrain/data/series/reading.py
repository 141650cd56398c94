"""Read series from files of tables, or compute them, and check them.

A wide file has a column of times and one for each variable. A long file holds the rows of many series, and a column
with the name of the series.

Shapes: N rows of K series, D variables.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.config.series import GeneratedSeriesConfig, Missing, Process, SeriesConfig
from seqtrain.data.series import processes
from seqtrain.data.series.clocks import read_times
from seqtrain.data.series.columns import choose_variables, id_columns
from seqtrain.data.series.covariates import category_codes, static_columns
from seqtrain.data.series.files import find_file
from seqtrain.data.series.frequency import find_frequency
from seqtrain.data.series.gaps import fill_gaps
from seqtrain.data.series.sentinels import sentinel_notes
from seqtrain.data.series.table import SeriesTable
from seqtrain.data.series.times import STEP, Clock, RunTimes, TimeColumn, time_order, time_text
from seqtrain.data.tables.files import SUFFIXES, file_type
from seqtrain.data.tables.numbers import numbers
from seqtrain.data.tables.reading import read_table
from seqtrain.data.tables.table import Table, is_encoded, scalar_text
from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow

PROCESSES = {
    Process.lorenz: (processes.lorenz, ["x", "y", "z"]),
    Process.mackey_glass: (processes.mackey_glass, ["x"]),
    Process.sine: (processes.sine, ["x"]),
}


def read_series(config: SeriesConfig, run: RunTimes | None = None) -> SeriesTable:
    """Read and check the series that a config names.

    Args:
        config: the options.
        run: what a run knows of its times, if the series are read for it.

    Raises:
        DataError: if the source cannot be found or read, or its rows are not at equal distances; names the first
            place that is wrong.
    """
    generated = isinstance(config, GeneratedSeriesConfig) and config.path is None
    file = generated_table(config) if isinstance(config, GeneratedSeriesConfig) and generated else read_file(config)
    notes = list(file.notes)
    sorts = choose_variables(file, config, notes)
    columns = {name: numbers(file, name, config, "data.targets") for part in sorts for name in part}
    categories = dict[str, list[str]]()
    for name in config.categorical_covariates:
        columns[name], categories[name] = category_codes(one_array(file, name).to_pandas(), config.missing_values)
    names, values = list(columns), np.stack(list(columns.values()), axis=1)
    codes, ids = series_of_rows(file, config)
    times, clock = times_of_rows(file, codes, config, run, notes)
    order = time_order(times, codes, config, notes)
    if (order[1:] < order[:-1]).any():  # a file that is in order is not copied
        values, times, codes = values[order], times[order], codes[order]
    offsets = np.searchsorted(codes, np.arange(len(ids) + 1))

    def place(row: int) -> str:
        """File, line and series of a row, for messages."""
        series = f", series {ids[codes[row]]!r}" if id_columns(config) else ""
        return f"{file.place(int(order[row]))}{series}"

    static = static_columns(values, offsets, names, config, notes, place)
    absent = np.isnan(values)
    if config.missing is Missing.error and absent.any():
        row, variable = np.argwhere(absent)[0]
        raise DataError(
            f"{place(row)}: {absent.sum():,} values are missing, the first one of {names[variable]!r} at "
            f"{time_text(times[row])}; fill them, or set data.missing=interpolate or data.missing=mask"
        )
    expected = None if run is None else run.distance
    frequency, distance = find_frequency(
        times, offsets, config.frequency, place, expected, config.fill_gaps, trained=run is not None
    )
    if not generated:
        notes += sentinel_notes(values[:, : len(names) - len(categories)], offsets, names, place)
    table = SeriesTable(
        origin=file.origin,
        times=times,
        values=values,
        names=names,
        num_targets=len(sorts[0]),
        num_past=len(sorts[1]),
        num_future=len(sorts[2]) + len(categories),
        offsets=offsets,
        ids=ids,
        rows=order,
        frequency=frequency,
        distance=None if generated else distance,  # the numbers of its steps say nothing about those of a file
        clock=clock,
        missing=int(absent.sum()),
        notes=notes,
        categories=categories,
        static=static,
    )
    return fill_gaps(table, place) if config.fill_gaps else table


def generated_table(config: GeneratedSeriesConfig) -> Table:
    """A computed series as a table."""
    import pyarrow as pa

    compute, names = PROCESSES[config.process]
    columns = {config.time_column: np.arange(config.length)} | dict(zip(names, compute(config.length).T, strict=True))
    return Table(pa.table(columns), f"data={config.name}")


def read_file(config: SeriesConfig) -> Table:
    """All columns of the file of a config, with texts as strings and categories as their values.

    Raises:
        DataError: if it cannot be read, or has no rows.
    """
    import pyarrow as pa

    path = find_file(config)
    if file_type(path) not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise DataError(f"{path}: files of type {path.suffix or '(none)'} are not read as series; use {known}")
    try:
        table = read_table(path, config)
    except DataError as error:
        raise DataError(f"{error}{decimal_advice(path, str(error))}") from error
    if len(table) == 0:
        raise DataError(f"{path}: has no rows")
    for i, field in enumerate(table.columns.schema):
        if pa.types.is_dictionary(field.type):
            table.columns = table.columns.set_column(i, field.name, table.columns.column(i).cast(field.type.value_type))
        elif pa.types.is_large_string(field.type) or pa.types.is_string_view(field.type):
            table.columns = table.columns.set_column(i, field.name, table.columns.column(i).cast(pa.string()))
    return table


def decimal_advice(path: Path, error: str) -> str:
    """More advice on a file whose fields seem to be separated by semicolons: it may have decimal commas."""
    if "data.separator=semicolon" not in error or file_type(path) != ".csv":
        return ""
    return ", and data.decimal=comma if its numbers have decimal commas"


def series_of_rows(table: Table, config: SeriesConfig) -> tuple[np.ndarray, list[str]]:
    """Number of the series of each row, (N,), and the names of the series, sorted."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    codes, ids = np.zeros(len(table), dtype=np.int64), [""]
    for column in id_columns(config):
        values = table.columns.column(column)
        if not pa.types.is_string(values.type):
            values = pa.array([None if value is None else str(value) for value in table.values(column)], pa.string())
        text = pc.fill_null(pc.utf8_trim_whitespace(values), "")
        nameless = np.flatnonzero(pc.equal(text, "").to_numpy())
        if nameless.size:
            raise DataError(f"{table.place(int(nameless[0]))}: column {column!r} (data.id_column) names no series")
        codes, unique = pd.factorize(text.to_pandas(), sort=True)
        ids = [str(name) for name in unique]
    return codes, ids


def times_of_rows(
    table: Table, codes: np.ndarray, config: SeriesConfig, run: RunTimes | None, notes: list[str]
) -> tuple[np.ndarray, Clock]:
    """Times of the rows and their clock; see ``read_times``.

    With ``data.frequency=step``, rows whose times cannot be read are numbered.
    """
    column = TimeColumn(one_array(table, config.time_column), config.time_column, table.origin, table.place)
    try:
        return read_times(column, codes, config, run, notes)
    except DataError as error:
        if config.frequency != STEP:
            raise
        notes.append(f"rows are numbered and keep the order of the file, since: {error}")
        return np.arange(len(table)), Clock.number


def one_array(table: Table, name: str) -> "pyarrow.Array":
    """A column in one piece; values of mixed types as text."""
    import pyarrow as pa

    if is_encoded(table.columns, name):
        return pa.array([None if v is None else scalar_text(v) for v in table.values(name)], pa.string())
    column = table.columns.column(name).combine_chunks()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
