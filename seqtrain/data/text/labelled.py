"""Texts with their classes: the rows that can be used, and whether train has every class.

Shapes: N rows, C classes.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from seqtrain.data.cache import digest
from seqtrain.data.text.class_names import ClassNames, LabelColumn
from seqtrain.data.text.label_sets import indicator
from seqtrain.data.text.labels import LabelledTexts, Labels, RawTexts
from seqtrain.errors import DataError


class HasClasses(Protocol):
    """Rows with their classes."""

    labels: np.ndarray
    """Class of each row, (N,); or whether each class applies to it, (N, C)."""


def origin_of(files: Sequence[RawTexts]) -> str:
    """The file that makes up a split, or the folder of its files."""
    return files[0].origin if len(files) == 1 else str(Path(files[0].origin).parent)


def usable_rows(
    files: Sequence[RawTexts], labels_of: Callable[[RawTexts], Labels], notes: list[str], remedy: str = ""
) -> list[LabelColumn]:
    """The labels of the rows of a split that have a text and a label.

    Args:
        files: the files of the split.
        labels_of: reads the labels of a file.
        notes: gets the number of other rows.
        remedy: what to do about rows without label, for the note.

    Raises:
        DataError: if no row is left.
    """
    columns = []
    num_rows = no_text = no_label = 0
    for raw in files:
        labels = labels_of(raw)
        has_text = np.array([text is not None and text.strip() != "" for text in raw.texts], dtype=bool)
        kept = has_text & labels.known
        columns.append(LabelColumn(raw, labels.select(kept), np.flatnonzero(kept)))
        num_rows += len(kept)
        no_text += int(np.sum(~has_text))
        no_label += int(np.sum(has_text & ~labels.known))
    origin, dropped = origin_of(files), no_text + no_label
    counts = f"{no_text} with empty text, {no_label} without label"
    if num_rows == 0:
        raise DataError(f"{origin}: has no rows; give a file with at least one row below its header")
    if dropped == num_rows:
        raise DataError(f"{origin}: none of its {num_rows} rows can be used ({counts})")
    if dropped:
        notes.append(f"{origin}: {dropped} rows dropped ({counts}){remedy if no_label else ''}")
    return columns


def joined(columns: Sequence[LabelColumn], classes: ClassNames, multilabel: bool) -> LabelledTexts:
    """The usable rows of the files of a split, one file after the other.

    Args:
        columns: the labels of each file.
        classes: the classes of all splits.
        multilabel: a row has a set of labels, not one.
    """
    numbers = [classes.classes(column) for column in columns]
    if multilabel:
        parts = zip(columns, numbers, strict=True)
        numbers = [indicator(column.labels, of_column, len(classes.names)) for column, of_column in parts]
    starts = np.cumsum([0, *(len(column.raw.texts) for column in columns)])
    rows = [column.kept + start for column, start in zip(columns, starts[:-1], strict=True)]
    texts = [cast(str, column.raw.texts[row]) for column in columns for row in column.kept]
    return LabelledTexts(texts, np.concatenate(numbers), np.concatenate(rows))


def class_counts(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Number of rows of each class, (C,), from the class of each row, (N,), or whether each applies to it, (N, C)."""
    return labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=num_classes)


def check_classes(splits: Mapping[str, HasClasses], classes: ClassNames, origin: str, notes: list[str]) -> None:
    """Check that train has rows of every class; only a class that nothing but metadata name may be without.

    Args:
        splits: the rows of all splits.
        classes: their classes.
        origin: where train is from, for messages.
        notes: gets the classes without rows.

    Raises:
        DataError: if train lacks a class, or has rows of one only.
    """
    counts = {split: class_counts(part.labels, len(classes.names)) for split, part in splits.items()}
    total = np.sum(list(counts.values()), axis=0)
    present, absent, unused = ([name for name, has in zip(classes.names, where, strict=True) if has] for where in (
        counts["train"] > 0, (counts["train"] == 0) & (total > 0), total == 0))  # fmt: skip
    if absent:
        raise DataError(
            f"{origin}: train has no row of class {', '.join(sorted(absent))}, which another split has; "
            "classification needs rows of every class in train"
        )
    if unused and classes.given and classes.trained is None:
        raise DataError(
            f"{origin}: train has no row of class {', '.join(unused)} (data.class_names); remove the name, or see "
            "whether the labels are what the names say"
        )
    if unused:
        notes.append(f"train: has no row of class {', '.join(unused)}, which its files name")
    if not present:
        raise DataError(f"{origin}: no row has a label; multi-label classification needs some")
    if len(present) == 1 and splits["train"].labels.ndim == 1:
        raise DataError(f"{origin}: all rows have the one label {present[0]!r}; classification needs at least two")


def fingerprint(splits: dict[str, LabelledTexts]) -> str:
    """Digest of the texts and labels of every split, independent of where they were read from."""
    state = hashlib.blake2b(digest_size=16)
    for split, part in splits.items():
        state.update(f"{split} {len(part.texts)}\n".encode())
        state.update(part.labels.tobytes())
        for text in part.texts:
            encoded = text.encode("utf-8", "surrogatepass")
            state.update(len(encoded).to_bytes(8, "little") + encoded)
    return state.hexdigest()


def folds_fingerprint(splits: dict[str, LabelledTexts], folds: int, seed: int) -> str:
    """Digest of all splits and of how train is cut into folds, which is the same for every fold."""
    train, validation = splits["train"], splits["validation"]
    rows, labels = (
        np.concatenate([getattr(part, name) for part in (train, validation)]) for name in ("rows", "labels")
    )
    whole = LabelledTexts([*train.texts, *validation.texts], labels, rows).select(np.argsort(rows))
    others = {split: part for split, part in splits.items() if split not in ("train", "validation")}
    return digest([fingerprint({"train": whole} | others), folds, seed])
