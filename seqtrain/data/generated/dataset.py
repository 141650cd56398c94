"""Datasets that are drawn from a random generator when they are needed."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqtrain.config.base import DataConfig, Targets
from seqtrain.config.data import GeneratedConfig, Problem
from seqtrain.config.options import Affects, keys
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.cache import digest
from seqtrain.data.generated import problems
from seqtrain.data.locate import SPLITS
from seqtrain.data.spec import DataSpec
from seqtrain.data.tables.reading import read_table
from seqtrain.data.tables.table import Table
from seqtrain.errors import DataError
from seqtrain.paths import expanded

EVAL_BATCH = 64  # independent of data.batch_size, so that the rows scored are always the same


class Generated(Dataset):
    """Sequences of a generated problem; a batch depends on nothing but seed, split, epoch and position.

    Args:
        config: the options.
        seed: seed of the training batches; validation and test are the same for every seed.
        trained: has no effect, since nothing is learned from the data.
        single_split: has no effect.
    """

    def __init__(self, config: GeneratedConfig, seed: int, trained: Path | None = None, single_split: bool = False):
        self.config, self.seed = config, seed
        self.sizes = {"train": config.num_train, "validation": config.num_eval, "test": config.num_eval}
        self.notes = []
        K = config.num_symbols
        match config.problem:
            case Problem.adding:
                self.spec = DataSpec(targets=Targets.sequence_number, num_features=2)
                self.known_scores = {"predicting the mean": {"mse": 1 / 6}}
            case Problem.copy_memory:
                names = ["blank", *(str(i) for i in range(1, K + 1))]
                self.spec = DataSpec(targets=Targets.step_labels, vocab_size=K + 2, class_names=names)
                loss = problems.memoryless_loss(config.length, K, config.copy_length)
                self.known_scores = {"without memory": {"loss": loss}}
            case Problem.reverse:
                self.spec = DataSpec(targets=Targets.step_labels, vocab_size=K, class_names=[str(i) for i in range(K)])
                self.known_scores = {"guessing": {"loss": float(np.log(K)), "accuracy": 1 / K}}
        drawn = {k: str(v) for k, v in asdict(config).items() if k not in keys(config, Affects.batches)}
        self.fingerprint = digest(drawn)

    def num_batches(self, epoch: int) -> int:
        return -(-self.config.num_train // self.config.batch_size)

    def train_batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for index in range(start, self.num_batches(epoch)):
            yield self.batch("train", index, epoch)

    def eval_batches(self, split: str) -> Iterator[Batch]:
        for index in range(-(-self.sizes[split] // EVAL_BATCH)):
            yield self.batch(split, index)

    def batch(self, split: str, index: int, epoch: int = 0) -> Batch:
        """The batch at a position of a split."""
        config = self.config
        size = config.batch_size if split == "train" else EVAL_BATCH
        rows = np.arange(index * size, min((index + 1) * size, self.sizes[split]))
        rng = np.random.default_rng([SPLITS.index(split), self.seed if split == "train" else 0, epoch, index])
        match config.problem:
            case Problem.adding:
                inputs, targets = problems.adding(rng, len(rows), config.length)
            case Problem.copy_memory:
                inputs, targets = problems.copy_memory(
                    rng, len(rows), config.length, config.num_symbols, config.copy_length
                )
            case Problem.reverse:
                inputs, targets = problems.reverse(rng, len(rows), config.length, config.num_symbols)
        lengths = torch.full((len(rows),), inputs.shape[1])
        tensors = torch.from_numpy(inputs), torch.from_numpy(targets), lengths
        return Batch(*tensors, rows, num_tokens=len(rows) * inputs.shape[1])

    def source_rows(self, split: str) -> np.ndarray:
        return np.arange(self.sizes[split])

    def row_digests(self, split: str, read: bool = True) -> np.ndarray:
        """No digests: the rows of train are drawn for one epoch, so no other dataset has them."""
        return np.empty(0, dtype=np.uint64)

    def examples(self, split: str, count: int) -> tuple[Batch, list[list[str]]]:
        batch = self.batch(split, 0)
        few = Batch(batch.inputs[:count], batch.targets[:count], batch.lengths[:count], batch.rows[:count], 0)
        if self.config.problem is Problem.adding:
            return few, [[f"{x:.2f}{'*' if mark else ''}" for x, mark in row] for row in few.inputs.tolist()]
        return few, [[str(token) for token in row] for row in few.inputs.tolist()]

    @classmethod
    def read_rows(cls, config: DataConfig, source: str) -> tuple[Table, list[Any], np.ndarray]:
        """Read a jsonl or parquet file with a column ``inputs`` of lists: of symbols, or of pairs of numbers."""
        if source == "-":
            raise DataError("input=-: must be a jsonl or parquet file with lists in a column 'inputs'")
        table = read_table(expanded(source, "input"))
        rows = [row or [] for row in table.column("inputs", "the lists to predict from")]
        return table, rows, np.array([len(row) > 0 for row in rows], dtype=bool)

    @classmethod
    def new_batches(cls, config: DataConfig, directory: Path, rows: Sequence[Any]) -> Iterator[Batch]:
        """A batch for each row: a list of symbols of the vocabulary or, for ``adding``, of pairs of numbers."""
        assert isinstance(config, GeneratedConfig)
        pairs, size = config.problem is Problem.adding, config.num_symbols + 2 * (config.problem is Problem.copy_memory)
        for number, row in enumerate(rows):
            values = np.asarray(row)
            fits = (
                values.dtype.kind in "if" and values.ndim == 2 and values.shape[1] == 2
                if pairs
                else (values.dtype.kind == "i" and values.ndim == 1 and values.min() >= 0 and values.max() < size)
            )
            if not fits:
                wanted = "a list of pairs of numbers" if pairs else f"a list of whole numbers from 0 to {size - 1}"
                raise DataError(f"row {number} of the inputs: must be {wanted}")
            inputs = torch.from_numpy(values.astype(np.float32 if pairs else np.int64))[None]
            steps = inputs.shape[1]
            targets = torch.zeros(1) if pairs else torch.zeros(1, steps, dtype=torch.long)
            yield Batch(inputs, targets, torch.full((1,), steps), np.array([number]), num_tokens=steps)

    def save(self, directory: Path) -> None:
        """Write nothing, since there is no vocabulary."""
