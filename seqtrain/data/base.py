"""The interface of every dataset, and its batches.

Shapes: B batch, T time, D features.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from seqtrain.config.base import DataConfig
from seqtrain.data.spec import DataSpec
from seqtrain.data.tables.table import Table
from seqtrain.errors import DataError


@dataclass
class Batch:
    """Rows of a dataset, padded on the right to the length of the longest."""

    inputs: Tensor
    """Tokens (B, T), or features (B, T, D)."""
    targets: Tensor
    """What is to be predicted: classes (B,) for classification, labels (B, T) for labelling."""
    lengths: Tensor
    """Number of real (not padded) steps of each row, (B,), at least 1."""
    rows: np.ndarray
    """Number of each row in its split, (B,)."""
    num_tokens: int
    """Number of real steps of all rows together."""
    restarts: Tensor | None = None
    """True at the steps before which the state carried from the previous batch is reset, (B, T); None: at no step."""
    rate_scale: float = 1.0
    """Factor of the learning rate in the optimizer step of this batch."""
    weight: float = 1.0
    """Factor of the loss; 0 for a batch that only keeps a process in step with the others."""

    def shard(self, rank: int, size: int) -> Self:
        """The share of one process: rows ``rank``, ``rank + size``, ...; without any, it gets one row of weight 0."""
        if size == 1:
            return self
        weight = float(rank < len(self.rows))
        rows = slice(rank, None, size) if weight else slice(0, 1)
        kept: dict[str, Any] = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, Tensor | np.ndarray)
        }
        return replace(self, **kept, num_tokens=int(kept["lengths"].sum() * weight), weight=weight)

    def to(self, device: torch.device) -> Self:
        """The batch with its tensors on a device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)


class Dataset(ABC):
    """Splits of examples, served as batches. The order of training batches depends on seed, epoch and position only."""

    tokenizes: ClassVar[str] = ""
    """What its tokenizers are for: ``texts`` or ``running text``; empty if it has none.

    A run that starts from another takes over the tokenizer of that run, if both are for the same. The directory of that
    run is then given to the class as ``tokenizer_of``."""
    targets: ClassVar[str | None] = None
    """What is to be predicted; None if the options decide."""
    other_targets: ClassVar[tuple[str, ...]] = ()
    """What it also has, for tasks that predict it. The one that is wanted is given to the class as ``targets``."""
    digested: ClassVar[str] = "rows"
    """What ``row_digests`` are of, in the plural."""
    spec: DataSpec
    fingerprint: str
    """Digest of the contents of all splits; runs with equal fingerprints can be compared."""
    folds_of: str = ""
    """With ``data.folds``, a digest of all splits together and of the folds, the same for every fold; else empty."""
    training_fingerprint: str = ""
    """Digest of what training reads besides the splits; empty if nothing. Set by ``prepare_training``."""
    notes: list[str]
    """Remarks for the user on how the data was read, one line each."""
    sizes: dict[str, int]
    """Number of rows of each split; of tokens, for running text."""
    scoring: str = ""
    """How scores are computed, if there is more than one way; else empty."""
    known_scores: Mapping[str, dict[str, float]] = MappingProxyType({})
    """Scores known from theory: method -> metric -> value."""

    def prepare_training(self) -> None:  # noqa: B027
        """Prepare what training alone reads, such as texts without labels; a trained model is scored without it.

        Raises:
            DataError: if it cannot be found, read or used.
        """

    @abstractmethod
    def num_batches(self, epoch: int) -> int:
        """Number of training batches of an epoch (counted from 0)."""

    @abstractmethod
    def train_batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Training batches of an epoch, from number ``start`` on."""

    @abstractmethod
    def eval_batches(self, split: str) -> Iterator[Batch]:
        """Batches with every row of a split once, always in the same order."""

    @abstractmethod
    def source_rows(self, split: str) -> np.ndarray:
        """Number of each row of a split in its source, (N,)."""

    def row_digests(self, split: str, read: bool = True) -> np.ndarray | None:
        """Digests of the rows of a split, (M,), uint64. Equal rows have equal digests, in other datasets too.

        Args:
            split: the split.
            read: read the source again, if the prepared data has no digests.

        Returns:
            The digests; None if they are not known, or rows of this kind cannot be told apart.
        """
        return None

    @abstractmethod
    def examples(self, split: str, count: int) -> tuple[Batch, list[list[str]]]:
        """A few rows of a split for figures, always the same, and the name of each of their steps."""

    def token_names(self) -> list[str]:
        """Names of all tokens in order; empty if inputs are not tokens."""
        return []

    def token_counts(self) -> np.ndarray:
        """How often each token occurs in train, (V,), in the order of ``token_names``."""
        return np.zeros(len(self.token_names()), np.int64)

    @classmethod
    def read_rows(cls, config: DataConfig, source: str) -> tuple[Table, list[Any], np.ndarray]:
        """Read the rows of a file, or of stdin (-), for prediction.

        Args:
            config: the options of the run.
            source: the file.

        Returns:
            All columns, the rows as ``new_batches`` takes them, and which rows are not empty, (N,).

        Raises:
            DataError: if the file cannot be used, or this kind of data has no separate rows.
        """
        raise DataError(f"data={config.name}: has no rows that could be predicted one by one")

    @classmethod
    def new_batches(cls, config: DataConfig, directory: Path, rows: Sequence[Any]) -> Iterator[Batch]:
        """Evaluation batches of new rows, without targets.

        Args:
            config: the options of the run.
            directory: directory of the run, with the files that ``save`` wrote.
            rows: at least one row, none of them empty.

        Raises:
            DataError: if a row does not fit the run.
        """
        raise DataError(f"data={config.name}: has no rows that could be predicted one by one")

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write what prediction needs besides the weights (a tokenizer, a scaler) into the directory of a run."""

    def describe(self) -> dict[str, Any]:
        """The contents of data.json: spec, fingerprint, sizes, notes, scoring, and what not all data have."""
        described = {
            "spec": asdict(self.spec),
            "fingerprint": self.fingerprint,
            "sizes": self.sizes,
            "notes": self.notes,
            "scoring": self.scoring,
        }
        further = {"folds_of": self.folds_of, "training_fingerprint": self.training_fingerprint}
        return described | {name: value for name, value in further.items() if value}
