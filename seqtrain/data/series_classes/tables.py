"""Series in tables: in wide form, a row for each series, or in long form, a row for each step.

Shapes: N rows, K series, T steps of one series, D features.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from seqtrain.config.series_classes import SeriesClassesConfig
from seqtrain.data.series_classes.raw import Label, RawSeries
from seqtrain.data.series_classes.values import cut_at_ends
from seqtrain.data.tables.numbers import numbers
from seqtrain.data.tables.table import Table
from seqtrain.data.text.labels import label_text, shortened
from seqtrain.errors import DataError


@dataclass
class Form:
    """The columns of a table by their use."""

    features: list[str]
    """Columns of values, in the order of the options or of the file."""
    label: str | None
    """Column of labels; None in a table without labels, which can be predicted only."""


def columns_of(table: Table, config: SeriesClassesConfig, labelled: bool) -> Form:
    """The columns of a table by their use.

    Raises:
        DataError: if it lacks one of them, or has no column of values.
    """
    named = {"data.id_column": config.id_column, "data.time_column": config.time_column}
    for key, name in named.items():
        if name is not None:
            table.check_column(name, key)
    if labelled:
        table.check_column(config.label_column, "data.label_column")
    for name in config.features or []:
        table.check_column(name, "data.features")
    others = {config.label_column, *(name for name in named.values() if name is not None)}
    features = config.features or [name for name in table.names if name not in others]
    if not features:
        raise DataError(f"{table.origin}: has no columns of values besides {', '.join(sorted(others))}")
    return Form(features, config.label_column if config.label_column in table.names else None)


def values_of(table: Table, form: Form, config: SeriesClassesConfig) -> np.ndarray:
    """Values of the columns of values, NaN where missing, (N, columns)."""
    option = "data.features"
    return np.stack([numbers(table, name, config, option) for name in form.features], axis=1)


def read_wide(table: Table, config: SeriesClassesConfig, notes: list[str], labelled: bool = True) -> RawSeries:
    """Series of one feature in wide form; missing values at the end of a row are the end of a shorter series.

    Args:
        table: the table.
        config: the options.
        notes: gets how many series are shorter.
        labelled: the table must have labels.
    """
    form = columns_of(table, config, labelled)
    values = values_of(table, form, config)
    series = cut_at_ends([row[:, None] for row in values], table.origin, notes)
    labels = [None] * len(table) if form.label is None else table.values(form.label)
    return RawSeries(series, labels, ["value"], table.origin, table.place)


def read_long(
    table: Table, config: SeriesClassesConfig, notes: list[str], labelled: bool = True, each_step: bool = False
) -> tuple[RawSeries, list[Any]]:
    """Series in long form, in the order in which they first occur.

    Args:
        table: the table.
        config: the options.
        notes: gets whether the steps were put in order.
        labelled: the table must have labels.
        each_step: each step has a label of its own.

    Returns:
        The series and their ids.

    Raises:
        DataError: for a row without id or time, two rows of a series with the same time, or a series with two labels.
    """
    assert config.id_column is not None
    form = columns_of(table, config, labelled)
    values = values_of(table, form, config)
    ids, codes = series_codes(table, config.id_column)
    order = np.argsort(codes, kind="stable")
    if config.time_column is not None:
        order = by_time(table, config.time_column, codes, notes)
    starts = np.cumsum([0, *np.bincount(codes, minlength=len(ids))])
    rows = [order[start:end] for start, end in zip(starts[:-1], starts[1:], strict=True)]
    labels: list[Label] = [None] * len(ids)
    if form.label is not None:
        column = table.values(form.label)
        of_rows = [[column[row] for row in own] for own in rows]
        labels = of_rows if each_step else [one_of(table, own, of) for own, of in zip(rows, of_rows, strict=True)]
    firsts = [int(own.min()) for own in rows]
    series = [values[own] for own in rows]
    return RawSeries(series, labels, form.features, table.origin, lambda number: table.place(firsts[number])), ids


def series_codes(table: Table, name: str) -> tuple[list[Any], np.ndarray]:
    """The different ids in the order in which they first occur, and the number of the series of each row, (N,)."""
    numbers_of: dict[str, int] = {}
    ids: list[Any] = []
    codes = np.empty(len(table), dtype=np.int64)
    for row, value in enumerate(table.values(name)):
        text = label_text(value)
        if text is None:
            raise DataError(
                f"{table.place(row)}: column {name!r} (data.id_column): is empty; each step needs its series"
            )
        if text not in numbers_of:
            numbers_of[text] = len(ids)
            ids.append(value)
        codes[row] = numbers_of[text]
    return ids, codes


def by_time(table: Table, name: str, codes: np.ndarray, notes: list[str]) -> np.ndarray:
    """Numbers of the rows, series by series and each in order of time, (N,)."""
    times = times_of(table, name)
    order = np.lexsort((times, codes))
    follows = codes[order][1:] == codes[order][:-1]
    same = np.flatnonzero(follows & (times[order][1:] == times[order][:-1]))
    if same.size:
        row, earlier = int(order[same[0] + 1]), int(order[same[0]])
        raise DataError(
            f"{table.place(row)}: column {name!r} (data.time_column): has the time of the same series at "
            f"{table.place(earlier).removeprefix(f'{table.origin}: ')}; give each step a time of its own"
        )
    if (follows & (np.diff(order) < 0)).any():
        notes.append(f"{table.origin}: rows are not in order of {name!r}; they are read in order of their times")
    return order


def times_of(table: Table, name: str) -> np.ndarray:
    """Times of the rows as numbers or datetime64, (N,).

    Raises:
        DataError: for a time that is missing, or is neither a number nor a date.
    """
    import pandas as pd

    texts = table.values(name)
    numeric = pd.to_numeric(pd.Series(texts), errors="coerce")
    if numeric.notna().all():
        return numeric.to_numpy(dtype=np.float64)
    dates = pd.to_datetime(pd.Series(texts), errors="coerce", format="ISO8601", utc=True)
    kind, read = ("number", numeric) if numeric.notna().mean() >= 0.5 else ("date in ISO 8601", dates)
    if (wrong := np.flatnonzero(read.isna())).size:
        row = int(wrong[0])
        raise DataError(
            f"{table.place(row)}: column {name!r} (data.time_column): {shortened(texts[row])} is no {kind}, as most "
            "times are; correct it, or set data.time_column=null to keep the order of the file"
        )
    return dates.to_numpy(dtype="datetime64[ns]")


def one_of(table: Table, rows: np.ndarray, labels: list[Label]) -> Label:
    """The label of a series, which all its rows that have one agree on."""
    texts = [label_text(label) for label in labels]
    known = [i for i, text in enumerate(texts) if text is not None]
    other = next((i for i in known if texts[i] != texts[known[0]]), None)
    if other is not None:
        raise DataError(
            f"{table.place(int(rows[other]))}: label {texts[other]!r}, and the same series has {texts[known[0]]!r} at "
            f"{table.place(int(rows[known[0]])).removeprefix(f'{table.origin}: ')}; a series has one label, unless "
            "task=sequence_labelling learns one for each step"
        )
    return labels[known[0]] if known else None
