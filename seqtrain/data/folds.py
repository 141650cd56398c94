"""Folds of k-fold cross-validation: train is cut into k parts, and each is validation of one run.

Shapes: N rows, C classes.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from seqtrain.errors import DataError

NONE = -1
"""In place of the number of a fold: the row is in train of every run."""


def class_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A fold for each row at random, stratified by class.

    The rows are dealt out class by class, so that neither the folds nor the rows of a class in them differ by more than
    one row in size.

    Args:
        labels: class of each row, (N,).
        folds: number of folds, at least 2.
        seed: seed of the choice.

    Returns:
        The fold of each row, (N,). A row whose class has no other row has none.

    Raises:
        DataError: if there are fewer rows than folds.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    return dealt(order, folds, (np.flatnonzero(labels == label) for label in np.unique(labels)))


def set_folds(holders: Iterable[np.ndarray], num_rows: int, folds: int, seed: int) -> np.ndarray:
    """A fold for each row at random, where a row has a set of classes.

    Args:
        holders: numbers of the rows of each class, for C classes.
        num_rows: number N of rows.
        folds: number of folds, at least 2.
        seed: seed of the choice.

    Returns:
        The fold of each row, (N,). Where one fold would have all rows of a class, one of these rows has none.

    Raises:
        DataError: if there are fewer rows than folds.
    """
    return dealt(np.random.default_rng(seed).permutation(num_rows), folds, holders)


def dealt(order: np.ndarray, folds: int, holders: Iterable[np.ndarray]) -> np.ndarray:
    """The folds of rows that are dealt out in an order, (N,); every class keeps a row in train of every fold."""
    if len(order) < folds:
        raise DataError(f"data.folds={folds}: train has only {len(order)} rows, and each fold needs one; lower it")
    fold_of = np.empty(len(order), dtype=np.int64)
    fold_of[order] = np.arange(len(order)) % folds
    for rows in holders:
        if len(rows) and (fold_of[rows] == fold_of[rows[0]]).all():
            fold_of[rows[0]] = NONE
    return fold_of


def series_folds(names: Sequence[str], folds: int, seed: int, origin: str) -> np.ndarray:
    """A fold for each of K series at random, whatever their order in the source.

    Args:
        names: names of the series, K.
        folds: number of folds, at least 2.
        seed: seed of the choice.
        origin: where the series are from, for the error.

    Returns:
        The fold of each series, (K,); the numbers of series in the folds differ by at most one.

    Raises:
        DataError: if there are fewer series than folds.
    """
    if len(names) < folds:
        have = "one series" if len(names) == 1 else f"{len(names)} series"
        raise DataError(
            f"data.folds={folds}: {origin} has {have}, and each fold needs one; to train again at several times, use "
            "seqtrain backtest refit=<k>"
        )
    fold_of = np.empty(len(names), dtype=np.int64)
    fold_of[np.argsort(names, kind="stable")] = dealt(np.random.default_rng(seed).permutation(len(names)), folds, ())
    return fold_of


def refuse_validation(folds: int | None, origin: str | Path) -> None:
    """Raise DataError if there are folds, for data that has a validation split of its own, from ``origin``."""
    if folds is not None:
        raise DataError(
            f"data.folds={folds}: {origin} is validation, and a fold of train cannot be it too; give "
            "data.validation_split=null to leave that file out"
        )


def cut_fold(fold_of: np.ndarray, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the rows that stay in train and of those of a fold, in ascending order each.

    Raises:
        DataError: if the fold has no row, since each of its rows has to stay in train.
    """
    if not (fold_of == fold).any():
        raise DataError(f"data.fold={fold}: every row of this fold is the only one of its class; lower data.folds")
    return np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)


def fold_note(fold_of: np.ndarray, fold: int, folds: int, unit: str) -> str:
    """How validation was chosen, for the user."""
    alone = int(np.sum(fold_of == NONE))
    kept = f"; {alone:,} {unit} stay in train of every fold, so that it has every class" if alone else ""
    return f"validation: {int(np.sum(fold_of == fold)):,} {unit} of train, fold {fold} of {folds} (data.folds){kept}"
