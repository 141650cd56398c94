"""Labels of which a row may have several: how they are read, and a split that keeps every class in train."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from seqtrain.config.tables import SEPARATORS
from seqtrain.data.text.labels import Labels, RawTexts, check_types, label_texts, no_labels, numbered, shortened
from seqtrain.errors import DataError


def label_sets(raw: RawTexts, separator: str | None, missing: Iterable[str] = ()) -> Labels:
    """The set of labels of each row, from a list, or from a string that a separator cuts.

    An empty list says that no class applies to the row. Null and blank strings say that its labels are not known. A
    label that a row names twice counts once.

    Args:
        raw: the source.
        separator: string between two labels of a row; None if all labels are lists.
        missing: values that mean that the labels are not known, besides null, NaN and blank strings.

    Raises:
        DataError: for an empty label in a list, a list in a list, or a single label without a separator.
    """
    check_types(raw, (dict, bytes), "give a list of labels, or a string with data.label_separator")
    none = no_labels(missing)
    texts = iter(label_texts(value for value in raw.labels if not isinstance(value, list)))
    known = np.array([isinstance(value, list) or next(texts) not in none for value in raw.labels], dtype=bool)
    used = np.flatnonzero(known)
    sets = [parts(raw, row, separator) for row in used.tolist()]
    rows = np.repeat(used, [len(each) for each in sets])
    flat = list(chain.from_iterable(sets))
    if nested := [kind for kind in set(map(type, flat)) if issubclass(kind, list | tuple | dict | bytes)]:
        place = next(i for i, value in enumerate(flat) if isinstance(value, tuple(nested)))
        raise DataError(f"{raw.at(rows[place])}: {shortened(flat[place])} stands in its list of labels; each must be "
                        "a string or a number")  # fmt: skip
    flat_texts = label_texts(flat)
    if None in flat_texts:
        row = int(rows[flat_texts.index(None)])
        raise DataError(f"{raw.at(row)}: an empty label among {shortened(raw.labels[row])}; remove it")
    labels = numbered(flat_texts, rows, known)
    _, first = np.unique(rows * len(labels.names) + labels.codes, return_index=True)
    first.sort()
    return replace(labels, codes=labels.codes[first], rows=rows[first])


def parts(raw: RawTexts, row: int, separator: str | None) -> list[Any]:
    """The labels of a row.

    Raises:
        DataError: for a label that is no list, if there is no separator.
    """
    value = raw.labels[row]
    if isinstance(value, list):
        return value
    if separator is None:
        marks = {name: mark for name, mark in SEPARATORS.items() if isinstance(value, str) and mark in value}
        guess = min(marks, key=["pipe", "semicolon", "comma", "tab", "space"].index, default="pipe")
        raise DataError(
            f"{raw.at(row)}: label {shortened(value)} is one label, where task=multilabel needs a list of them; give "
            f"data.label_separator={guess} for strings of labels, or remove task="
        )
    return value.split(separator) if isinstance(value, str) else [value]


def indicator(labels: Labels, classes: np.ndarray, num_classes: int) -> np.ndarray:
    """Whether each class applies to each row, (N, C), from the class of each label, (M,)."""
    applies = np.zeros((len(labels.known), num_classes), dtype=bool)
    applies[labels.rows, classes] = True
    return applies


def multilabel_split(applies: np.ndarray, size: float, seed: int, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Set rows apart at random; every class keeps at least one of its rows.

    The rows that stay for this are chosen class by class, from the rarest on. The shares of the classes are those of
    a random choice: they are not held equal.

    Args:
        applies: whether each class applies to each row, (N, C).
        size: rows to set apart: a fraction below 1, or a number of rows.
        seed: seed of the choice.
        key: the option that gives ``size``, for messages.

    Returns:
        Numbers of the rows that stay and of those set apart, in ascending order each.

    Raises:
        DataError: if no row would be set apart, or too few would stay.
    """
    num_rows = len(applies)
    order = np.random.default_rng(seed).permutation(num_rows)
    counts = applies.sum(0)
    kept: list[int] = []
    for column in np.argsort(counts, kind="stable"):
        if counts[column] and not applies[kept, column].any():
            kept.append(int(order[np.argmax(applies[order, column])]))
    wanted = round(size * num_rows) if size < 1 else int(size)
    free = order[~np.isin(order, kept)]
    if not 0 < wanted <= len(free) or wanted == num_rows:
        raise DataError(
            f"{key}={size:g}: sets {wanted} of the {num_rows} rows apart, and {len(kept)} must stay so that train has "
            "every class; give a fraction below 1, or another number of rows"
        )
    taken = np.sort(free[:wanted])
    return np.setdiff1d(np.arange(num_rows), taken, assume_unique=True), taken
