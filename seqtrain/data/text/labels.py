"""Texts and labels as their source has them, the text of a label, and stratified splits."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from seqtrain.errors import DataError

INTEGRAL = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
BOOLS = {"False": "false", "FALSE": "false", "True": "true", "TRUE": "true"}

Place = Callable[[int], str]
"""A function from the number of a row to its file and line, for messages."""


@dataclass
class RawTexts:
    """Texts and labels of one file, or of another source, as it has them."""

    texts: Sequence[str | None]
    labels: Sequence[Any]
    origin: str
    """The file or dataset, for messages."""
    class_names: list[str] | None = None
    """Names that the file itself gives to its labels 0, 1, ...; None if it gives none."""
    place: Place | None = None
    """Place of each row; None names rows by their number."""

    def at(self, row: int) -> str:
        """The place of a row."""
        return self.place(row) if self.place else f"{self.origin}: row {row + 1}"


@dataclass
class Labels:
    """The labels of the rows of a source as texts.

    Shapes: N rows, M labels of all rows together, K different labels.
    """

    names: list[str]
    """Texts of the different labels, in the order in which they first occur; K of them."""
    codes: np.ndarray
    """Place of each label in ``names``, (M,)."""
    rows: np.ndarray
    """Row of each label, (M,), ascending."""
    known: np.ndarray
    """Whether the labels of each row are known, (N,). A row may be known to have none."""

    def select(self, kept: np.ndarray) -> "Labels":
        """The labels of the rows at which ``kept``, (N,), is true. Rows and names are numbered again."""
        of_kept = kept[self.rows]
        used, codes = np.unique(self.codes[of_kept], return_inverse=True)
        rows = (np.cumsum(kept) - 1)[self.rows[of_kept]]
        return Labels([self.names[code] for code in used], codes, rows, self.known[kept])

    def first(self, wanted: np.ndarray) -> tuple[int, str]:
        """Row and name of the first label whose name is ``wanted``, (K,); at least one is."""
        place = np.argmax(wanted[self.codes])
        return int(self.rows[place]), self.names[self.codes[place]]

    def count(self, wanted: np.ndarray) -> int:
        """Number of labels whose name is ``wanted``, (K,)."""
        return int(np.sum(wanted[self.codes]))


@dataclass
class LabelledTexts:
    """Texts and classes of a split."""

    texts: list[str]
    labels: np.ndarray
    """Class of each row, (N,); or whether each class applies to it, (N, C)."""
    rows: np.ndarray
    """Number of each row in the source, (N,)."""

    def select(self, index: np.ndarray) -> "LabelledTexts":
        """The rows at ``index``, in that order."""
        return LabelledTexts([self.texts[i] for i in index], self.labels[index], self.rows[index])


def label_text(value: Any) -> str | None:
    """The text of a label, by which labels and names of classes are compared; None if it is no label.

    Strings are stripped. Whole numbers have no fraction: 1, 1.0, "1" and "1.0" are the label ``1``. Truth values, and
    the strings that Python and spreadsheets write for them, are ``false`` and ``true``. None, NaN and blank strings
    are no labels.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | Decimal):
        if value != value:  # NaN
            return None
        finite = abs(value) != float("inf")
        return str(int(value)) if finite and value == int(value) else str(value)
    text = "" if value is None else str(value).strip()
    if whole := INTEGRAL.fullmatch(text):
        text = "0" if whole[1] == "-0" else whole[1]
    return BOOLS.get(text, text) or None


def label_texts(values: Iterable[Any]) -> list[str | None]:
    """The text of each value, none of which is a list or an object."""
    keys = [(type(value), value) for value in values]  # the type too, since True == 1
    texts = {key: label_text(key[1]) for key in set(keys)}
    return [texts[key] for key in keys]


def one_label(raw: RawTexts, missing: Iterable[str] = ()) -> Labels:
    """The label of each row, of which there is at most one.

    Args:
        raw: the source.
        missing: values that mean that there is no label, besides null, NaN and blank strings. In a source with names
            of its own, -1 means this too, as the hub has it.

    Raises:
        DataError: for a label that is a list, an object or bytes.
    """
    check_types(raw, (list, dict, bytes), "task=multilabel learns several labels a row")
    texts = label_texts(raw.labels)
    none = no_labels(missing) | ({"-1"} if raw.class_names else set())
    known = np.array([text is not None and text not in none for text in texts], dtype=bool)
    rows = np.flatnonzero(known)
    return numbered((texts[row] for row in rows), rows, known)


def no_labels(missing: Iterable[str]) -> set[str | None]:
    """The texts of values that mean that there is no label."""
    return {None, *map(label_text, missing)}


def numbered(texts: Iterable[str | None], rows: np.ndarray, known: np.ndarray) -> Labels:
    """Labels from the text and the row of each."""
    numbers: dict[str | None, int] = {}
    codes = np.fromiter((numbers.setdefault(text, len(numbers)) for text in texts), np.int64, len(rows))
    return Labels([str(text) for text in numbers], codes, rows, known)


def check_types(raw: RawTexts, refused: tuple[type, ...], remedy: str) -> None:
    """Raise DataError, which names the first row, if a label has one of these types."""
    if not any(issubclass(kind, refused) for kind in set(map(type, raw.labels))):
        return
    row = next(i for i, label in enumerate(raw.labels) if isinstance(label, refused))
    names = {"dict": "an object", "bytes": "bytes"}
    kind = names.get(type(raw.labels[row]).__name__, "a list")
    raise DataError(f"{raw.at(row)}: label {shortened(raw.labels[row])} is {kind}, not one label; {remedy}")


def shortened(value: Any, length: int = 60) -> str:
    """A value as Python writes it, cut to a length."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def stratified_split(labels: np.ndarray, size: float, seed: int, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Set rows apart at random, the same share of each class.

    Args:
        labels: class of each row, (N,).
        size: rows to set apart: a fraction below 1, or a number of rows.
        seed: seed of the choice.
        key: name of the option that gives the size, for errors.

    Returns:
        Numbers of the rows that stay and of those set apart, in ascending order each. Every class keeps a row.

    Raises:
        DataError: if no row would be set apart, or all.
    """
    fraction = size if size < 1 else size / len(labels)
    classes, counts = np.unique(labels, return_counts=True)
    rng = np.random.default_rng(seed)
    apart = [
        rng.permutation(np.flatnonzero(labels == label))[:count]
        for label, count in zip(classes, shares(counts, fraction, seed), strict=True)
    ]
    taken = np.sort(np.concatenate(apart))
    if not len(taken) or fraction >= 1:
        share = "all" if fraction >= 1 else "none"
        raise DataError(
            f"{key}={size:g}: sets {share} of the {len(labels)} rows apart; give a fraction below 1, or a number of "
            "rows that leaves some of each class on both sides"
        )
    return np.setdiff1d(np.arange(len(labels)), taken, assume_unique=True), taken


def shares(counts: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Number of rows to set apart of each class with ``counts`` rows, (C,); every class keeps a row.

    These are the rounded shares of the classes. If they add up to a number that is more than a quarter off, as with
    many small classes, the right number is given out by the largest remainder, and among equal ones at random.
    """
    total = round(fraction * counts.sum())
    exact = fraction * counts
    taken = np.round(exact).astype(np.int64)
    if abs(taken.sum() - total) > total / 4:
        taken = np.floor(exact).astype(np.int64)
        remainders = np.where(taken < counts - 1, exact - taken, -1)
        order = np.random.default_rng([seed, 1]).permutation(len(counts))
        order = order[np.argsort(-remainders[order], kind="stable")]
        taken[order[: total - taken.sum()]] += 1
    return np.minimum(taken, counts - 1)
