"""The base of datasets of rows of unequal length, served in batches of similar length."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from seqtrain.data.base import Batch, Dataset
from seqtrain.data.rows.batching import bucketed_batches, sorted_batches
from seqtrain.data.rows.tokens import TokenRows


class BatchSizes(Protocol):
    """Options that decide the sizes of batches."""

    batch_size: int
    batch_tokens: int | None
    eval_batch_tokens: int


class BucketedDataset(Dataset):
    """Rows in batches of similar length; a subclass sets ``config``, ``seed`` and, if they are tokens, ``tokens``."""

    config: BatchSizes
    seed: int
    tokens: dict[str, TokenRows]
    """The rows of each split."""
    epoch_batches: tuple[int, list[np.ndarray]] | None = None

    def lengths(self, split: str) -> np.ndarray:
        """Number of steps of each row of a split, (N,)."""
        return self.tokens[split].lengths

    @abstractmethod
    def batch(self, split: str, rows: np.ndarray) -> Batch:
        """A batch of the rows with these numbers."""

    def order(self, epoch: int) -> list[np.ndarray]:
        """Row numbers of each training batch of an epoch."""
        if self.epoch_batches is None or self.epoch_batches[0] != epoch:
            rng = np.random.default_rng([self.seed, epoch])
            batches = bucketed_batches(self.lengths("train"), self.config.batch_size, self.config.batch_tokens, rng)
            self.epoch_batches = epoch, batches
        return self.epoch_batches[1]

    def num_batches(self, epoch: int) -> int:
        return len(self.order(epoch))

    def train_batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for rows in self.order(epoch)[start:]:
            yield self.batch("train", rows)

    def eval_batches(self, split: str) -> Iterator[Batch]:
        for rows in sorted_batches(self.lengths(split), self.config.eval_batch_tokens):
            yield self.batch(split, rows)
