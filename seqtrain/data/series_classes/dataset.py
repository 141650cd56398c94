"""Series with a class each, with a number each, or with a class for each step.

Shapes: B batch, T time, N series of a split, D features.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqtrain.config.base import DataConfig, Targets
from seqtrain.config.series_classes import Filling, SeriesClassesConfig
from seqtrain.data.base import Batch
from seqtrain.data.cache import digest
from seqtrain.data.description import DataDescription
from seqtrain.data.folds import refuse_validation
from seqtrain.data.locate import SPLITS
from seqtrain.data.rows.batching import sorted_batches
from seqtrain.data.rows.bucketed import BucketedDataset
from seqtrain.data.series_classes.files import find_files, read_split
from seqtrain.data.series_classes.labelled import (
    LabelledSeries,
    classified,
    fingerprint,
    number_scale,
    numbered,
    series_digests,
    set_apart,
    validation_notes,
)
from seqtrain.data.series_classes.new import NewSeries, new_values, read_new
from seqtrain.data.series_classes.preparation import Preparation
from seqtrain.data.series_classes.raw import RawSeries, check_features
from seqtrain.data.series_classes.rows import SeriesRows
from seqtrain.data.spec import DataSpec
from seqtrain.data.tables.table import Table
from seqtrain.data.text.class_names import TrainedClasses
from seqtrain.errors import DataError
from seqtrain.paths import expanded

LEAST_BATCH = 4
"""Fewest series in a batch that ``data.batch_share`` makes small."""


class SeriesClasses(BucketedDataset):
    """Labelled series from files at ``data.path``, kept in memory.

    Args:
        config: the options.
        seed: seed of the order of training batches.
        trained: directory of a run, whose classes and preparation are used; None learns them from train.
        single_split: take all series of the file ``data.path`` as one split, ``test``.
        targets: one class of each series, one number of each, or one class of each step.

    Raises:
        ConfigError: for options that contradict each other or the labels.
        DataError: if the files cannot be found, read or used.
    """

    targets = Targets.sequence_class
    other_targets = (Targets.sequence_number, Targets.step_labels)
    digested = "series"
    config: SeriesClassesConfig

    def __init__(
        self,
        config: SeriesClassesConfig,
        seed: int,
        trained: Path | None = None,
        single_split: bool = False,
        targets: str = Targets.sequence_class,
    ):
        self.config, self.seed, self.notes = config, seed, []
        each_step = targets == Targets.step_labels
        files = find_files(config, self.notes)
        if single_split:
            files = {"test": files["train"]}
        elif "train" not in files and trained is None:
            there = "; ".join(f"{split}: {', '.join(p.name for p in paths)}" for split, paths in files.items())
            raise DataError(
                f"{config.path}: has no file of split {config.train_split!r} (data.train_split) to train on; {there}"
            )
        raw = {split: read_split(paths, config, self.notes, each_step) for split, paths in files.items()}
        preparation = Preparation.read(trained) if trained else None
        features = preparation.features if preparation else raw["train"].names
        for part in raw.values():
            check_features(part, features, f"{trained}" if trained else raw["train"].origin)
        if "validation" in raw and trained is None:
            refuse_validation(config.folds, raw["validation"].origin)
        self.labels_as: str | None = None
        class_names: list[str] = []
        if targets == Targets.sequence_number:
            splits = numbered(raw, config, self.notes)
        else:
            known = TrainedClasses.load(trained / "data.json") if trained else None
            splits, classes = classified(raw, config, known, self.notes, each_step)
            self.labels_as, class_names = classes.labels_as, classes.names
        self.splits = self.finish(splits, targets)
        self.notes += validation_notes(self.splits, class_names) if trained is None else []
        self.notes += self.missing_notes(raw)
        if each_step:
            self.config = config = self.unshortened()
        self.preparation = preparation or Preparation.learned(self.splits["train"].values, features, config)
        self.notes += self.length_notes()
        self.series = {split: SeriesRows(self.prepared(part.values)) for split, part in self.splits.items()}
        self.step_labels = {s: SeriesRows(part.targets()) for s, part in self.splits.items()} if each_step else {}
        counted = next(iter(self.splits.values())).labels  # of train, if there is one
        centre, scale = number_scale(counted, trained) if targets == Targets.sequence_number else (0.0, 1.0)
        self.spec = DataSpec(
            targets=targets,
            num_features=len(features),
            longest=self.preparation.longest,
            class_names=class_names,
            class_counts=np.bincount(counted, minlength=len(class_names)).tolist() if class_names else [],
            target_centre=centre,
            target_scale=scale,
        )
        self.fingerprint = fingerprint(self.splits, features)
        self.sizes = {split: len(part.values) for split, part in self.splits.items()}
        if "train" in self.sizes and config.batch_share < 1:
            share = max(LEAST_BATCH, round(config.batch_share * self.sizes["train"]))
            self.config = replace(config, batch_size=min(config.batch_size, share))

    def finish(self, splits: dict[str, LabelledSeries], targets: str) -> dict[str, LabelledSeries]:
        """Take the splits that are missing from train, in order; ``notes`` says how."""
        if "train" in splits:
            whole = dict(splits)
            for split in ("test", "validation") if len(splits) == 1 else ("validation",):
                if split not in splits and (
                    parts := set_apart(splits["train"], split, self.config, targets, self.notes)
                ):
                    stay, apart = parts
                    splits |= {"train": splits["train"].select(stay), split: splits["train"].select(apart)}
                    if split == "test":
                        whole = {"train": splits["train"], "test": splits["test"]}
            if self.config.folds is not None and "validation" not in whole:
                self.folds_of = digest([fingerprint(whole, []), self.config.folds, self.config.split_seed])
            held_out = {d for s, part in splits.items() if s != "train" for d in series_digests(part.values).tolist()}
            repeated = sum(d in held_out for d in series_digests(splits["train"].values).tolist())
            if repeated:
                self.notes.append(f"train: {repeated} series also occur, with equal values, in validation or test")
            if "test" not in splits:
                self.notes.append("test: the source has none; scores are on validation")
        return {split: splits[split] for split in SPLITS if split in splits}

    def missing_notes(self, raw: dict[str, RawSeries]) -> list[str]:
        """How many values are missing in each split, and what takes their place.

        Raises:
            DataError: if some are, and ``data.missing`` is ``error``; names the first.
        """
        filling, notes = self.config.missing, []
        how = {
            Filling.interpolate: "filled by the line between the known neighbours of the same feature, or by the "
            "nearest known value at an end, or by the mean of train where a series has none",
            Filling.mean: "filled by the mean of the feature in train",
        }
        for split, part in raw.items():
            counts = [int(np.isnan(series).sum()) for series in part.values]
            if not any(counts):
                continue
            first = next(i for i, count in enumerate(counts) if count)
            if filling is Filling.error:
                raise DataError(
                    f"{part.place(first)}: {counts[first]} values are missing ({sum(counts):,} in all); set "
                    "data.missing=interpolate or mean to fill them"
                )
            total = sum(series.size for series in part.values)
            affected = sum(count > 0 for count in counts)
            notes.append(
                f"{split}: {sum(counts):,} of {total:,} values are missing, in {affected:,} of {len(counts):,} series; "
                f"{how[filling]}"
            )
        return notes

    def unshortened(self) -> SeriesClassesConfig:
        """The options without ``max_length``, for labels of every step; ``notes`` says so where it would matter."""
        limit = self.config.max_length
        if limit is not None and any(len(series) > limit for part in self.splits.values() for series in part.values):
            self.notes.append(f"data.max_length={limit}: is not applied, since every step has a label")
        return replace(self.config, max_length=None)

    def length_notes(self) -> list[str]:
        """The lengths of the series, and whether they are shortened."""
        lengths = [len(series) for part in self.splits.values() for series in part.values]
        features = f", {len(self.preparation.features)} features" if len(self.preparation.features) > 1 else ""
        span = f"{min(lengths):,}" if min(lengths) == max(lengths) else f"{min(lengths):,} to {max(lengths):,}"
        steps = self.preparation.steps
        mean = f"; the mean of {steps} neighbouring steps becomes one (data.max_length)" if steps > 1 else ""
        return [f"series of {span} steps{features}{mean}"]

    def prepared(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Series as models read them."""
        return [self.preparation.apply(series, self.config) for series in values]

    def lengths(self, split: str) -> np.ndarray:
        return self.series[split].lengths

    def batch(self, split: str, rows: np.ndarray) -> Batch:
        """A batch of the series with these numbers."""
        inputs, lengths = self.series[split].gather(rows)
        if self.step_labels:
            targets, _ = self.step_labels[split].gather(rows)
        else:
            targets = torch.from_numpy(self.splits[split].labels[rows])
        return Batch(inputs, targets, lengths, rows, num_tokens=int(lengths.sum()))

    def source_rows(self, split: str) -> np.ndarray:
        return self.splits[split].rows

    def row_digests(self, split: str, read: bool = True) -> np.ndarray | None:
        return series_digests(self.splits[split].values)

    @property
    def prepared_fingerprint(self) -> str:
        """Digest of the series of all splits as models read them."""
        config = self.config
        constants = {name: value for name, value in asdict(self.preparation).items() if name != "longest"}
        return digest([self.fingerprint, constants, config.scale_by.value, config.missing.value])

    def labelled_split(self, split: str) -> tuple[list[np.ndarray], np.ndarray]:
        """The series of a split as models read them, (T, D) each, and their classes or numbers, (N,), for baselines."""
        rows = self.series[split]
        return [rows[row] for row in range(len(rows.lengths))], self.splits[split].labels

    def examples(self, split: str, count: int) -> tuple[Batch, list[list[str]]]:
        chosen = np.unique(np.linspace(0, self.sizes[split] - 1, count).astype(int))
        batch = self.batch(split, chosen)
        rows = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
        return batch, [["/".join(f"{x:.2f}" for x in step[:3]) for step in row[:length]] for row, length in rows]

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"labels_as": self.labels_as}

    def save(self, directory: Path) -> None:
        """Write the preparation."""
        self.preparation.write(directory)

    @classmethod
    def read_rows(cls, config: DataConfig, source: str) -> tuple[Table, list[Any], np.ndarray]:
        """Read the series of a file, with or without labels; the table has a row for each series."""
        assert isinstance(config, SeriesClassesConfig)
        if source == "-":
            raise DataError("input=-: must be a .ts file or a table of series")
        table, raw = read_new(expanded(source, "input"), config)
        rows = [NewSeries(series, raw.names, raw.place(i)) for i, series in enumerate(raw.values)]
        return table, rows, np.array([bool((~np.isnan(series)).any()) for series in raw.values], dtype=bool)

    @classmethod
    def new_batches(cls, config: DataConfig, directory: Path, rows: Sequence[Any]) -> Iterator[Batch]:
        """Evaluation batches of new series: arrays or lists of numbers, (T,) or (T, D), NaN or None where missing."""
        assert isinstance(config, SeriesClassesConfig)
        preparation = Preparation.read(directory)
        each_step = DataDescription.read(directory / "data.json").spec.targets == Targets.step_labels
        values = [new_values(row, f"series {i}", preparation.features) for i, row in enumerate(rows)]
        series = SeriesRows([preparation.apply(each, config) for each in values])
        for index in sorted_batches(series.lengths, config.eval_batch_tokens):
            inputs, lengths = series.gather(index)
            shape = inputs.shape[:2] if each_step else inputs.shape[:1]
            targets = torch.zeros(shape, dtype=torch.long)
            yield Batch(inputs, targets, lengths, index, num_tokens=int(lengths.sum()))
