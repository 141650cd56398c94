"""Read series from csv and parquet files, or compute them, and check them.

A wide file has a column of times and one for each variable. A long file holds the rows of many series, and a column
with the name of the series.

Shapes: N rows of K series, D variables.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.config.base import suggest
from seqtrain.config.series import (
    GeneratedSeriesConfig,
    Missing,
    Process,
    SeriesConfig,
    SeriesFilesConfig,
)
from seqtrain.data.series import processes
from seqtrain.data.series.calendar import STEP, find_frequency, parse_times, time_text
from seqtrain.data.series.covariates import category_codes, check_static, constant_columns
from seqtrain.data.series.files import SUFFIXES, find_file
from seqtrain.data.series.table import SeriesTable
from seqtrain.data.tables.files import decode, read_bytes
from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pandas

NO_NUMBER = ["", "NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NULL", "null", "None"]  # missing values in csv
PROCESSES = {
    Process.lorenz: (processes.lorenz, ["x", "y", "z"]),
    Process.mackey_glass: (processes.mackey_glass, ["x"]),
    Process.sine: (processes.sine, ["x"]),
}


def read_series(config: SeriesConfig) -> SeriesTable:
    """Read and check the series that a config names.

    Raises:
        DataError: if the source cannot be found or read, or its rows are not at equal distances; names the first
            place that is wrong.
    """
    import pandas as pd

    notes: list[str] = []
    if isinstance(config, GeneratedSeriesConfig) and config.path is None:
        compute, names = PROCESSES[config.process]
        frame = pd.DataFrame(compute(config.length), columns=names)
        frame.insert(0, config.time_column, np.arange(config.length))
        origin = f"data={config.name}"
    else:
        path = find_file(config)
        frame, origin = read_frame(path, config), str(path)
    sorts = choose_variables(frame, config, origin, notes)
    columns = {name: numbers(frame, name, origin) for part in sorts for name in part}
    categories = dict[str, list[str]]()
    for name in config.categorical_covariates:
        columns[name], categories[name] = category_codes(frame[name])
    names, values = list(columns), np.stack(list(columns.values()), axis=1)
    times = parse_times(frame[config.time_column], origin, notes)

    codes, ids = np.zeros(len(frame), dtype=np.int64), [""]
    for column in id_columns(config):
        series = frame[column].astype(str).str.strip()
        nameless = np.flatnonzero(series.isna() | (series == ""))
        if nameless.size:
            raise DataError(f"{origin}: column {column!r} (data.id_column): row {nameless[0] + 1} names no series")
        codes, unique = pd.factorize(series, sort=True)
        ids = [str(name) for name in unique]
    # With frequency `step`, rows keep their order whatever their times. A file that is in order is not copied.
    order = np.lexsort((codes,) if config.frequency == STEP else (times, codes))
    if (order[1:] < order[:-1]).any():
        values, times, codes = values[order], times[order], codes[order]
    offsets = np.searchsorted(codes, np.arange(len(ids) + 1))
    called = [f"{origin}, series {name!r}" if id_columns(config) else origin for name in ids]
    constant = constant_columns(values, offsets)
    for name in config.static_covariates:
        check_static(name, ~constant[:, names.index(name)], called)
    static = [name for name in [*config.static_covariates, *categories] if constant[:, names.index(name)].all()]
    absent = np.isnan(values)
    if config.missing is Missing.error and absent.any():
        row, variable = np.argwhere(absent)[0]
        raise DataError(
            f"{called[codes[row]]}: {absent.sum():,} values are missing, the first one of {names[variable]!r} at "
            f"{time_text(times[row])}; fill them, or set data.missing=interpolate or data.missing=mask"
        )
    return SeriesTable(
        origin=origin,
        times=times,
        values=values,
        names=names,
        num_targets=len(sorts[0]),
        num_past=len(sorts[1]),
        num_future=len(sorts[2]) + len(categories),
        offsets=offsets,
        ids=ids,
        rows=order,
        frequency=find_frequency(times, offsets, config.frequency, called),
        missing=int(absent.sum()),
        notes=notes,
        categories=categories,
        static=static,
    )


def read_frame(path: Path, config: SeriesConfig) -> "pandas.DataFrame":
    """Read all columns of a file; in csv, times and names of series stay strings."""
    import pandas as pd
    import pyarrow as pa

    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: files of type {path.suffix or '(none)'} are not read; use .csv or .parquet")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    # The name of a series or a category may be NA or 007.
    as_written = [config.time_column, *id_columns(config), *config.categorical_covariates]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            if path.suffix == ".csv":
                columns = pd.read_csv(path, nrows=0, index_col=False).columns
                frame = pd.read_csv(
                    path,
                    dtype=dict.fromkeys(as_written, str),
                    keep_default_na=False,
                    na_values={name: NO_NUMBER for name in columns if name not in as_written},
                    index_col=False,
                    low_memory=False,
                )
            else:
                frame = pd.read_parquet(path)
                frame = frame.reset_index() if frame.index.name is not None else frame
    except (ValueError, OSError, pa.ArrowException, pd.errors.ParserWarning) as error:
        if isinstance(error, UnicodeDecodeError):
            decode(path, read_bytes(path))  # names the line
        raise DataError(f"{path}: {' '.join(str(error).split())}") from error
    if len(frame) == 0:
        raise DataError(f"{path}: has no rows")
    return frame


def id_columns(config: SeriesConfig) -> list[str]:
    """The column with the names of the series, as a list of one; empty if there is none."""
    column = config.id_column if isinstance(config, SeriesFilesConfig) else None
    return [] if column is None else [column]


def choose_variables(
    frame: "pandas.DataFrame", config: SeriesConfig, origin: str, notes: list[str]
) -> tuple[list[str], list[str], list[str]]:
    """Names of targets, past and future covariates that are numbers, the static ones last.

    Raises:
        DataError: for a column that the file lacks.
    """
    keys = {
        "time_column": [config.time_column],
        "id_column": id_columns(config),
        "targets": config.targets or [],
        "past_covariates": config.past_covariates,
        "future_covariates": config.future_covariates,
        "static_covariates": config.static_covariates,
        "categorical_covariates": config.categorical_covariates,
    }
    columns = [str(column) for column in frame.columns]
    for key, names in keys.items():
        for name in names:
            if name not in columns:
                raise DataError(f"{origin}: has no column {name!r} (data.{key}); {suggest(name, columns)}")
    future = config.future_covariates + config.static_covariates
    if config.targets is not None:
        return config.targets, config.past_covariates, future
    named = {name for names in keys.values() for name in names}
    rest = [name for name in columns if name not in named]
    targets = [name for name in rest if not name.startswith("Unnamed: ") and has_numbers(frame[name])]
    if not targets:
        raise DataError(f"{origin}: has no column of numbers to forecast; its columns: {', '.join(columns)}")
    if len(targets) < len(rest):
        left_out = ", ".join(name for name in rest if name not in targets)
        notes.append(f"columns left out, since they are not numbers or have no name: {left_out}")
    return targets, config.past_covariates, future


def has_numbers(column: "pandas.Series") -> bool:
    """Whether a column holds numbers, also as text or mixed with text, which an error names later."""
    import pandas as pd

    kinds = pd.api.types
    if kinds.is_bool_dtype(column) or kinds.is_datetime64_any_dtype(column):
        return False
    return kinds.is_numeric_dtype(column) or bool(pd.to_numeric(column, errors="coerce").notna().any())


def numbers(frame: "pandas.DataFrame", name: str, origin: str) -> np.ndarray:
    """Values of a variable, NaN where missing, (N,); raises DataError for the first that is not a finite number."""
    import pandas as pd

    column = frame[name]
    dates = pd.api.types.is_datetime64_any_dtype(column)
    values = column.astype(str) if dates else column
    parsed = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(np.isinf(parsed) | (np.isnan(parsed) & column.notna().to_numpy()))
    if bad.size:
        raise DataError(
            f"{origin}: column {name!r}: {str(column.iloc[bad[0]])!r} in row {bad[0] + 1} is not a finite number "
            f"({bad.size} in all); correct the file, or leave the column out of data.targets"
        )
    return parsed
