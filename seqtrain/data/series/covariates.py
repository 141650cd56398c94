"""Covariates that are static or categorical: their checks, and categories as zeros and ones.

Shapes: N rows of K series, D variables, F features.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.data.series.scaling import listed
from seqtrain.data.series.table import SeriesTable
from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pandas

MOST_CATEGORIES = 1000
"""Largest number of categories of a covariate, each of which is a feature of every row."""


def category_codes(column: "pandas.Series", missing: Collection[str] = ()) -> tuple[np.ndarray, list[str]]:
    """Place of each value of a column among its categories, NaN where it is empty, (N,), and their names, sorted.

    A category is its text, without blanks around it. Whole numbers have no ``.0``, since a column with gaps may hold
    floats, and truth values are ``true`` and ``false``. Texts in ``missing`` stand for no value.
    """
    import pandas as pd

    values = column.reset_index(drop=True).dropna().infer_objects()
    if pd.api.types.is_float_dtype(values) and (values == values.round()).all():
        values = values.astype(np.int64)
    texts = values.astype(str).str.strip()
    texts = texts.str.lower() if pd.api.types.is_bool_dtype(values) else texts
    texts = texts[(texts != "") & ~texts.isin(missing)]
    places, names = pd.factorize(texts, sort=True)
    codes = np.full(len(column), np.nan)
    codes[texts.index.to_numpy()] = places
    return codes, [str(name) for name in names]


def constant_columns(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Whether a variable has the same value in all rows of a series that know it, (K, D)."""
    low, high = (extreme.reduceat(values, offsets[:-1]) for extreme in (np.fmin, np.fmax))
    return (low == high) | np.isnan(low)


def check_static(name: str, changing: np.ndarray, called: list[str]) -> None:
    """Raise DataError if a static covariate changes in a series.

    Args:
        name: name of the covariate.
        changing: whether it changes, (K,).
        called: the series as errors name them.
    """
    if changing.any():
        raise DataError(
            f"{called[int(changing.argmax())]}: column {name!r} (data.static_covariates) has more than one value "
            f"({changing.sum():,} series in all); correct the file, or make it one of data.future_covariates or "
            "data.past_covariates"
        )


def train_categories(table: SeriesTable, train_ends: np.ndarray) -> dict[str, list[str]]:
    """Names of the categories that rows of train have, of each categorical covariate.

    Args:
        table: the rows.
        train_ends: the row after the last train row of each series, (K,).

    Raises:
        DataError: if a covariate has too many.
    """
    train = np.arange(len(table.values)) < np.repeat(train_ends, np.diff(table.offsets))
    found = {}
    for name, names in table.categories.items():
        codes = table.values[train, table.names.index(name)]
        found[name] = [names[int(code)] for code in np.unique(codes[~np.isnan(codes)])]
        if len(found[name]) > MOST_CATEGORIES:
            raise DataError(
                f"{table.origin}: column {name!r} (data.categorical_covariates) has {len(found[name]):,} categories in "
                f"train, and may have {MOST_CATEGORIES:,}; group them, or leave it out"
            )
    return found


def one_hot(table: SeriesTable, categories: dict[str, list[str]]) -> tuple[np.ndarray, list[str]]:
    """A feature for each category, 1 in its rows and 0 elsewhere.

    Args:
        table: the rows.
        categories: names of the categories of train, of each categorical covariate.

    Returns:
        Features, (N, F), float32, all 0 in rows with another category; and remarks on such rows.
    """
    parts, notes = [np.zeros((len(table.values), 0), np.float32)], []
    for name, known in categories.items():
        codes = table.values[:, table.names.index(name)]
        named = table.categories[name]
        places = np.array([known.index(each) if each in known else -1 for each in named] + [-2])
        place = places[np.where(np.isnan(codes), len(named), codes).astype(np.int64)]
        unseen = place == -1
        if unseen.any():
            which = listed([repr(named[int(code)]) for code in np.unique(codes[unseen])])
            notes.append(
                f"{unseen.sum():,} rows have a category of {name!r} that train does not have, and are 0 in all others: "
                f"{which}"
            )
        parts.append((place[:, None] == np.arange(len(known))).astype(np.float32))
    return np.concatenate(parts, axis=1), notes
