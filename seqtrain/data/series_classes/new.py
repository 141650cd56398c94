"""New series, to be predicted by a trained model: those of a file, and those that are given from Python.

Shapes: T steps of one series, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqtrain.config.series_classes import SeriesClassesConfig
from seqtrain.data.series_classes.files import archive_reader
from seqtrain.data.series_classes.raw import RawSeries, check_features
from seqtrain.data.series_classes.tables import read_long, read_wide
from seqtrain.data.tables.objects import column_of
from seqtrain.data.tables.reading import read_table
from seqtrain.data.tables.table import Table
from seqtrain.errors import DataError


@dataclass(frozen=True)
class NewSeries:
    """A series of a file."""

    values: np.ndarray
    """(T, D), NaN where missing."""
    features: list[str]
    """Names of the D features."""
    place: str
    """File and line, for messages."""


def read_new(path: Path, config: SeriesClassesConfig) -> tuple[Table, RawSeries]:
    """The series of a file, which may have labels, and a table with a row for each.

    The table is that of the file in wide form; in long form it has the ids, and of a file of the archives the numbers
    of the series, from 1. Both have the labels too, if the file has any.

    Raises:
        DataError: if the file cannot be read or used.
    """
    if (reader := archive_reader(path, config)) is not None:
        raw = reader(path, [])
        return table_of({"series": list(range(1, len(raw) + 1))}, raw, "label"), raw
    table = read_table(path, config)
    if config.id_column is None:
        return table, read_wide(table, config, [], labelled=False)
    raw, ids = read_long(table, config, [], labelled=False, each_step=True)
    raw.labels = [one if isinstance(one, list) and len(set(map(str, one))) == 1 else None for one in raw.labels]
    raw.labels = [None if one is None else one[0] for one in raw.labels]
    return table_of({config.id_column: ids}, raw, config.label_column), raw


def table_of(columns: dict[str, list[Any]], raw: RawSeries, label: str) -> Table:
    """A table with a row for each series: the columns, and the labels if there are any."""
    import pyarrow as pa

    if any(one is not None for one in raw.labels):
        columns[label] = raw.labels
    arrays = {name: column_of(values)[0] for name, values in columns.items()}
    return Table(pa.table(arrays), raw.origin)


def new_values(row: Any, name: str, features: Sequence[str]) -> np.ndarray:
    """The values of a new series, (T, D), NaN where missing.

    Args:
        row: a ``NewSeries``, or numbers (T,) or (T, D).
        name: what messages call it, if it has no place.
        features: names of the features of the run.

    Raises:
        DataError: if it has other features, no known value, or is not made of numbers.
    """
    if isinstance(row, NewSeries):
        name, values = row.place, row.values
        check_features(RawSeries([], [], row.features, name, str), features, "the run")
    else:
        try:
            values = np.asarray(row, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name}: must be numbers, a list of T or an array (T, features)") from error
        values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or values.shape[1] != len(features) or not np.isfinite(values).any():
        raise DataError(
            f"{name}: has the shape {values.shape}; must be numbers (T, {len(features)}), some of them known, of the "
            f"run's features {', '.join(features[:10])}"
        )
    return values
