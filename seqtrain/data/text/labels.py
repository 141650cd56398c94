"""Labelled texts of a split: cleaning, numbering of classes, and stratified splits."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seqtrain.errors import DataError


@dataclass
class RawSplit:
    """Texts and labels of a split as they are in the source."""

    texts: Sequence[str | None]
    labels: Sequence[str | int | None]
    origin: str
    """The file or dataset, for messages."""
    class_names: list[str] | None = None
    """Names of integer labels; None if the source has none."""


@dataclass
class LabelledTexts:
    """Texts and classes of a split."""

    texts: list[str]
    labels: np.ndarray
    """Class of each row, (N,)."""
    rows: np.ndarray
    """Number of each row in the source, (N,)."""

    def select(self, index: np.ndarray) -> "LabelledTexts":
        """The rows at ``index``, in that order."""
        return LabelledTexts([self.texts[i] for i in index], self.labels[index], self.rows[index])


def usable_rows(raw: RawSplit, notes: list[str]) -> np.ndarray:
    """Numbers of the rows that have a text and a label; how many others there are is added to ``notes``.

    None and the empty string are no text and no label. If classes have names, -1 is no label either.

    Raises:
        DataError: if no row is left.
    """
    if not len(raw.texts):
        raise DataError(f"{raw.origin}: has no rows; give a file with at least one row below its header")
    has_text = np.array([text is not None and text.strip() != "" for text in raw.texts])
    none = ("", "-1") if raw.class_names else ("",)
    has_label = np.array([label is not None and str(label).strip() not in none for label in raw.labels])
    rows = np.flatnonzero(has_text & has_label)
    counts = f"{np.sum(~has_text)} with empty text, {np.sum(has_text & ~has_label)} without label"
    if not len(rows):
        raise DataError(f"{raw.origin}: none of its {len(raw.texts)} rows can be used ({counts})")
    if len(rows) < len(raw.texts):
        notes.append(f"{raw.origin}: {len(raw.texts) - len(rows)} rows dropped ({counts})")
    return rows


def keep_rows(raw: RawSplit, rows: np.ndarray) -> RawSplit:
    """The rows with these numbers."""
    return replace(raw, texts=[raw.texts[i] for i in rows], labels=[raw.labels[i] for i in rows])


def find_class_names(raw: RawSplit) -> list[str]:
    """Class names in order: those of the source, else the labels, sorted as numbers if all are numbers.

    Raises:
        DataError: if there is only one class.
    """
    names = raw.class_names
    if names is None:
        names = sorted({str(label).strip() for label in raw.labels})
        if all(re.fullmatch(r"-?\d+", name) for name in names):
            names.sort(key=int)
    if len(names) < 2:
        raise DataError(f"{raw.origin}: all rows have the one label {names[0]!r}; classification needs at least two")
    return names


def number_labels(raw: RawSplit, class_names: list[str]) -> np.ndarray:
    """Class of each row from its label: a class name, or its number if the source has class names.

    Raises:
        DataError: for a label that is not a class.
    """
    numbers = {name: i for i, name in enumerate(class_names)}
    names = [label_name(label, raw.class_names) for label in raw.labels]
    unknown = Counter(name for name in names if name not in numbers)
    if unknown:
        name, count = unknown.most_common(1)[0]
        raise DataError(
            f"{raw.origin}: label {name!r} ({count} rows) is not one of the classes of train "
            f"({', '.join(class_names[:20])}{', ...' if len(class_names) > 20 else ''}); "
            "drop or rename these rows, or give data.label_column or data.class_names"
        )
    return np.array([numbers[name] for name in names], dtype=np.int64)


def label_name(label: str | int | None, source_names: list[str] | None) -> str:
    """Class name of a label; a label that is not a name may be the number of one, also as a string."""
    name = str(label).strip()
    if source_names and (isinstance(label, int) or name not in source_names) and re.fullmatch(r"\d+", name):
        return source_names[int(name)] if int(name) < len(source_names) else name
    return name


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

    These are the rounded shares of the classes. If they add up to a number that is more than 1 % off, as with many
    small classes, the right number is given out by the largest remainder, and among equal ones at random.
    """
    total = round(fraction * counts.sum())
    exact = fraction * counts
    taken = np.round(exact).astype(np.int64)
    if abs(taken.sum() - total) > total / 100:
        taken = np.floor(exact).astype(np.int64)
        remainders = np.where(taken < counts - 1, exact - taken, -1)
        order = np.random.default_rng([seed, 1]).permutation(len(counts))
        order = order[np.argsort(-remainders[order], kind="stable")]
        taken[order[: total - taken.sum()]] += 1
    return np.minimum(taken, counts - 1)
