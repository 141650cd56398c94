"""What every dataset offers, and the little of it that models and tasks may know.

Shapes: B batch, T time, D features.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from seqtrain.config.base import DataConfig
from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class DataSpec:
    """All that models and task heads know of the data."""

    vocab_size: int | None = None
    """Number of tokens, for inputs that are tokens."""
    pad_id: int | None = None
    """Token that fills rows up, where the vocabulary has one."""
    targets: str = ""
    """What is to be predicted, one of ``Targets``; empty in a spec that stands for any data."""
    num_features: int | None = None
    """Features of a step, for inputs that are numbers."""
    class_names: list[str] = field(default_factory=list)
    """Names of the classes, in the order of the targets."""
    class_counts: list[int] = field(default_factory=list)
    """Rows of train in each class."""
    by_frequency: bool = False
    """Whether tokens are numbered from the most frequent."""
    segment_length: int | None = None
    """Steps of a training segment, for running text."""
    lookback: int | None = None
    """Steps that a forecast sees."""
    horizon: int | None = None
    """Steps that it predicts."""
    num_targets: int | None = None
    """Variables that are forecast: the first features of a step."""
    num_future: int = 0
    """Features that are known for the horizon too: the last ones of a step."""
    season: int = 1
    """Steps of the season of a series."""
    target_names: list[str] = field(default_factory=list)
    """Names of the variables that are forecast."""
    naive_errors: list[list[list[float]]] = field(default_factory=list)
    """Mean absolute and mean squared seasonal differences of train, by series and variable; 0 where there is none."""


@dataclass
class Batch:
    """Rows of a dataset, padded on the right to the longest."""

    inputs: Tensor
    """Tokens (B, T), or features (B, T, D)."""
    targets: Tensor
    """What is to be predicted: classes (B,) for classification, labels (B, T) for labelling."""
    lengths: Tensor
    """Real steps of each row, (B,), at least 1."""
    rows: np.ndarray
    """Each row's number in its split, (B,)."""
    num_tokens: int
    """Real steps of all rows together."""
    restarts: Tensor | None = None
    """Steps before which the state of a row that goes on from the batch before is forgotten, (B, T); None for none."""
    rate_scale: float = 1.0
    """Factor of the learning rate in the step that this batch makes."""
    weight: float = 1.0
    """Factor of its loss: 0 where it only keeps a process in step with the others."""

    def shard(self, rank: int, size: int) -> Self:
        """Rows ``rank``, ``rank + size``, ...: a process's share. One that is left without gets a row of weight 0."""
        if size == 1:
            return self
        weight = float(rank < len(self.rows))
        rows = slice(rank, None, size) if weight else slice(0, 1)
        kept: dict[str, Any] = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, Tensor | np.ndarray)
        }
        return replace(self, **kept, num_tokens=int(kept["lengths"].sum() * weight), weight=weight)

    def to(self, device: torch.device) -> Self:
        """The same batch on a device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)


class Dataset(ABC):
    """Splits of examples, served as batches. The order of training batches depends on seed, epoch and position only."""

    targets: ClassVar[str | None] = None
    """What is to be predicted, where it is the same for all data of this class; None where the options decide."""
    spec: DataSpec
    fingerprint: str
    """Digest of the contents of all splits; runs are comparable where it is equal."""
    notes: list[str]
    """What a user should know of how the data was read, one line each."""
    sizes: dict[str, int]
    """Rows of each split; tokens, for running text."""
    scoring: str = ""
    """How the scores are to be read, where there is more than one way."""
    known_scores: Mapping[str, dict[str, float]] = MappingProxyType({})
    """What is known in theory: who -> metric -> value."""

    @abstractmethod
    def num_batches(self, epoch: int) -> int:
        """Training batches in an epoch (counted from 0)."""

    @abstractmethod
    def train_batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Training batches of an epoch, from the one numbered ``start``."""

    @abstractmethod
    def eval_batches(self, split: str) -> Iterator[Batch]:
        """Every row of a split once, in an order that is always the same."""

    @abstractmethod
    def source_rows(self, split: str) -> np.ndarray:
        """Number in the source of each row of a split, (N,)."""

    @abstractmethod
    def examples(self, split: str, count: int) -> tuple[Batch, list[list[str]]]:
        """A few rows of a split, always the same, with the name of each of their steps, for figures."""

    def token_names(self) -> list[str]:
        """Name of each token of the vocabulary, in order; none for inputs that are no words."""
        return []

    @classmethod
    def read_rows(cls, config: DataConfig, source: str) -> tuple["pyarrow.Table", list[Any], np.ndarray]:
        """New rows of a file, or of stdin (-), to be predicted.

        Args:
            config: the options of the run.
            source: the file.

        Returns:
            All columns, the rows as ``new_batches`` takes them, and which of them hold anything, (N,).

        Raises:
            DataError: if the file cannot be used, or data of this kind has no rows of its own.
        """
        raise DataError(f"data={config.name}: has no rows that could be predicted one by one")

    @classmethod
    def new_batches(cls, config: DataConfig, directory: Path, rows: Sequence[Any]) -> Iterator[Batch]:
        """New rows as evaluation batches, without targets.

        Args:
            config: the options of the run.
            directory: of the run, for what ``save`` wrote.
            rows: at least one, none of them empty.

        Raises:
            DataError: if a row does not fit the run.
        """
        raise DataError(f"data={config.name}: has no rows that could be predicted one by one")

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write what prediction needs besides the weights (a tokenizer, a scaler) into a run's directory."""

    def describe(self) -> dict[str, Any]:
        """Spec, fingerprint, sizes and notes, for data.json."""
        return {
            "spec": asdict(self.spec),
            "fingerprint": self.fingerprint,
            "sizes": self.sizes,
            "notes": self.notes,
            "scoring": self.scoring,
        }
