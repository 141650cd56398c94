"""Series with what is to be predicted of them: the series that can be used, their classes or numbers, and their splits.

Shapes: N series of a split, T steps of one series, D features.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from seqtrain.config.base import Targets
from seqtrain.config.series_classes import SeriesClassesConfig
from seqtrain.data.description import DataDescription
from seqtrain.data.folds import class_folds, cut_fold, fold_note
from seqtrain.data.series_classes.preparation import usable_scale
from seqtrain.data.series_classes.raw import RawSeries
from seqtrain.data.text.class_names import ClassNames, LabelColumn, TrainedClasses, shown
from seqtrain.data.text.labelled import check_classes
from seqtrain.data.text.labels import RawTexts, label_text, no_labels, one_label, stratified_split
from seqtrain.errors import DataError

FEW = 30  # series of validation, below which a note says how rough its scores are


@dataclass
class LabelledSeries:
    """Series of a split with what is to be predicted of each."""

    values: list[np.ndarray]
    """(T, D) each, NaN where missing."""
    labels: np.ndarray
    """Class of each series, int64, or its number, float32, (N,); of steps, the classes of all, one series after the
    other."""
    rows: np.ndarray
    """Number of each series in the source, (N,)."""
    starts: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """First entry in ``labels`` of each series, and their number, (N + 1,), where each step has a label."""

    def targets(self) -> list[np.ndarray]:
        """Classes of the steps of each series, (T,) each."""
        return [self.labels[start:end] for start, end in zip(self.starts[:-1], self.starts[1:], strict=True)]

    def select(self, index: np.ndarray) -> "LabelledSeries":
        """The series at ``index``, in that order."""
        values, rows = [self.values[i] for i in index], self.rows[index]
        if not len(self.starts):
            return LabelledSeries(values, self.labels[index], rows)
        targets = self.targets()
        return of_steps(values, [targets[i] for i in index], rows)


def of_steps(values: list[np.ndarray], targets: list[np.ndarray], rows: np.ndarray) -> LabelledSeries:
    """Series with a class for each step."""
    return LabelledSeries(values, np.concatenate(targets), rows, np.cumsum([0, *map(len, targets)]))


def usable(raw: RawSeries, config: SeriesClassesConfig, notes: list[str]) -> np.ndarray:
    """Numbers of the series that have a label and a known value; ``notes`` gets the number of others.

    Raises:
        DataError: if none is left.
    """
    none = no_labels([*config.missing_values, "?", "nan"])
    has_value = np.array([bool((~np.isnan(series)).any()) for series in raw.values], dtype=bool)
    has_label = np.array(
        [all(label_text(one) not in none for one in each_of(label)) for label in raw.labels], dtype=bool
    )
    kept = has_value & has_label
    counts = f"{np.sum(~has_value)} without a known value, {np.sum(has_value & ~has_label)} without label"
    if not kept.any():
        raise DataError(f"{raw.origin}: none of its {len(raw)} series can be used ({counts})")
    if not kept.all():
        notes.append(f"{raw.origin}: {np.sum(~kept)} series dropped ({counts})")
    return np.flatnonzero(kept)


def each_of(label: object) -> list[object]:
    """The labels of the steps of a series, or its one label as a list."""
    return label if isinstance(label, list) else [label]


def numbered(
    splits: Mapping[str, RawSeries], config: SeriesClassesConfig, notes: list[str]
) -> dict[str, LabelledSeries]:
    """The usable series of each split with their numbers.

    Raises:
        DataError: for a label that is no finite number.
    """
    found = {}
    for split, raw in splits.items():
        rows = usable(raw, config, notes)
        numbers = np.empty(len(rows), dtype=np.float32)
        for i, row in enumerate(rows):
            text = str(label_text(raw.labels[row]))
            try:
                numbers[i] = float(text)
            except ValueError:
                numbers[i] = np.nan
            if not np.isfinite(numbers[i]):
                raise DataError(
                    f"{raw.place(int(row))}: {text!r} is not a finite number, which task=sequence_regression predicts; "
                    "task=classification predicts classes"
                )
        found[split] = LabelledSeries([raw.values[row] for row in rows], numbers, rows)
    return found


def number_scale(numbers: np.ndarray, trained: Path | None) -> tuple[float, float]:
    """Mean and standard deviation by which a model's predictions are scaled.

    Args:
        numbers: numbers of the series of train, (N,).
        trained: directory of a run, whose own are taken; None computes them.
    """
    if trained is not None:
        spec = DataDescription.read(trained / "data.json").spec
        return spec.target_centre, spec.target_scale
    whole = numbers.astype(np.float64)
    scale = usable_scale(whole.std(keepdims=True), np.abs(whole).max(keepdims=True))
    return float(whole.mean()), float(scale[0])


def classified(
    splits: Mapping[str, RawSeries],
    config: SeriesClassesConfig,
    trained: TrainedClasses | None,
    notes: list[str],
    each_step: bool,
) -> tuple[dict[str, LabelledSeries], ClassNames]:
    """The usable series of each split with their classes, and the classes.

    Args:
        splits: the series of each split.
        config: the options.
        trained: the classes of a trained model; None finds them in the labels.
        notes: gets the number of series that are dropped.
        each_step: each step has a label.

    Raises:
        ConfigError: if ``data.class_names`` does not fit the labels.
        DataError: for a label that is no class, or a class that train lacks.
    """
    columns: dict[str, list[LabelColumn]] = {}
    for split, raw in splits.items():
        rows = usable(raw, config, notes)
        labels = list(chain.from_iterable(each_of(raw.labels[row]) for row in rows))
        owners = np.repeat(rows, [len(each_of(raw.labels[row])) for row in rows])
        texts = RawTexts([], labels, raw.origin, place=raw.place)
        columns[split] = [LabelColumn(texts, one_label(texts), owners)]
    classes = ClassNames(columns, config, trained)
    found = {}
    for split, raw in splits.items():
        (column,) = columns[split]
        codes = classes.classes(column)
        if each_step:
            rows = np.unique(column.kept)
            values = [raw.values[row] for row in rows]
            found[split] = of_steps(values, np.split(codes, np.cumsum([len(series) for series in values])[:-1]), rows)
        else:
            found[split] = LabelledSeries([raw.values[row] for row in column.kept], codes, column.kept)
    if "train" in found:
        check_classes(found, classes, splits["train"].origin, notes)
    return found, classes


def set_apart(part: LabelledSeries, split: str, config: SeriesClassesConfig, targets: str, notes: list[str]) -> (
        tuple[np.ndarray, np.ndarray] | None):  # fmt: skip
    """The series of train that stay and those set apart for a split, which ``notes`` then says; None if it is off.

    Where each class has one series only, validation is train itself: without it a class could not be learned.
    """
    classes = part.labels if targets == Targets.sequence_class else np.zeros(len(part.values), dtype=np.int64)
    if split == "validation" and config.folds is not None:
        fold_of = class_folds(classes, config.folds, config.split_seed)
        notes.append(fold_note(fold_of, config.fold, config.folds, "series"))
        return cut_fold(fold_of, config.fold)
    size = getattr(config, f"{split}_size")
    if size == 0:
        return None
    if split == "validation" and targets == Targets.sequence_class and np.bincount(classes).max() == 1:
        notes.append(
            "validation: is train itself, since no class has two series; its scores, by which the best checkpoint is "
            "chosen, say nothing of new series"
        )
        return np.arange(len(classes)), np.arange(len(classes))
    key = f"data.{split}_size"
    stay, apart = stratified_split(classes, size, config.split_seed, key)
    how = "stratified by class" if targets == Targets.sequence_class else "at random"
    notes.append(f"{split}: {len(apart):,} series of train set apart ({key}), {how}")
    return stay, apart


def validation_notes(splits: Mapping[str, LabelledSeries], class_names: list[str]) -> list[str]:
    """Remarks where validation lacks classes, or is small."""
    if "validation" not in splits:
        return []
    part, notes = splits["validation"], []
    present = np.bincount(part.labels, minlength=len(class_names)) > 0 if class_names else np.ones(0, dtype=bool)
    absent = [name for name, has in zip(class_names, present, strict=True) if not has]
    if absent:
        notes.append(
            f"validation: has no series of {len(absent)} of {len(class_names)} classes ({shown(absent)}), so that its "
            "scores say nothing of them"
        )
    is_train = part.values[0] is splits["train"].values[0]
    if len(part.values) < FEW and not is_train:
        notes.append(
            f"validation: has {len(part.values)} series only, so that its scores, by which the best checkpoint is "
            "chosen, are rough; data.folds and seqtrain ensemble use every series of train"
        )
    return notes


def fingerprint(splits: Mapping[str, LabelledSeries], features: list[str]) -> str:
    """Digest of the values and labels of every split, independent of where they were read from."""
    state = hashlib.blake2b(f"{len(features)}".encode(), digest_size=16)
    for split, part in splits.items():
        state.update(f"{split} {len(part.values)}\n".encode())
        state.update(part.labels.tobytes())
        for series in part.values:
            state.update(len(series).to_bytes(8, "little") + np.ascontiguousarray(series).tobytes())
    return state.hexdigest()


def series_digests(values: list[np.ndarray]) -> np.ndarray:
    """A digest of the values of each series as float32, (N,), uint64."""
    contents = (np.ascontiguousarray(series, dtype=np.float32).tobytes() for series in values)
    digests = (hashlib.blake2b(content, digest_size=8).digest() for content in contents)
    return np.fromiter((int.from_bytes(digest, "little") for digest in digests), dtype=np.uint64)
