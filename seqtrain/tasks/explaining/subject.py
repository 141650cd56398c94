"""What is explained: a model whose score of a row can be computed with steps removed, and differentiated.

Shapes: B rows, T steps, D numbers of a step.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor

from seqtrain.config.base import DataConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.layers.attention import recorded_weights
from seqtrain.tasks.explaining.attention import attends, attention_over_steps
from seqtrain.tasks.predicting import Trained

if TYPE_CHECKING:
    import pyarrow


class Subject(ABC):
    """The score of a row, and what it means to remove steps of the row.

    The score is of what the model predicts for the whole row: it needs no true target. Model and head are left in
    evaluation mode, and their parameters need no gradient any more.

    Args:
        trained: the model.
        removal: how steps are removed, one of ``removals``; None takes the first.
    """

    removals: ClassVar[tuple[str, ...]]
    """Ways to remove steps, the usual one first."""
    score_name: ClassVar[str]
    """What the curves show, for people."""
    overlap: int = 1
    """How many rows that follow each other in a split depend on each other."""

    def __init__(self, trained: Trained, removal: str | None = None):
        self.trained, self.removal = trained, removal or self.removals[0]
        self.model, self.head = trained.model.eval(), trained.head.eval()
        for module in (self.model, self.head):
            module.requires_grad_(False)

    @classmethod
    def of_data(cls, options: DataConfig) -> type["Subject"]:
        """The class that explains data with these options, where a task has several kinds of data."""
        return cls

    @abstractmethod
    def batches(self, data: Dataset, split: str, numbers: np.ndarray) -> Iterator[Batch]:
        """The rows of a split with these numbers, in any order."""

    @abstractmethod
    def new_batches(self, source: str, count: int | None = None) -> Iterator[Batch]:
        """Rows of a file, in any order.

        Args:
            source: the file.
            count: number of rows, see ``evenly``; None takes all.

        Raises:
            DataError: if the file cannot be used.
        """

    @abstractmethod
    def choose(self, batch: Batch) -> Tensor:
        """What is explained of each row: for example the predicted class, (B,)."""

    @abstractmethod
    def score(self, batch: Batch, choice: Tensor) -> Tensor:
        """Score of what was chosen, (B,), on a scale without limits, float64."""

    def shown(self, score: Tensor) -> Tensor:
        """Scores on the scale of the curves; a larger score is a larger number there."""
        return score

    @abstractmethod
    def inputs(self, batch: Batch) -> Tensor:
        """The numbers that gradients are taken of, (B, T, D)."""

    @abstractmethod
    def baseline(self, batch: Batch) -> Tensor:
        """The same of a row that tells nothing, (B, T, D)."""

    @abstractmethod
    def score_of_inputs(self, inputs: Tensor, batch: Batch, choice: Tensor) -> Tensor:
        """The score of other inputs (B, T, D) of the batch, (B,); gradients flow through it."""

    @abstractmethod
    def without(self, batch: Batch, kept: Tensor) -> Batch:
        """The batch without the steps at which ``kept``, (B, T), is false. Padding is kept."""

    @abstractmethod
    def columns(self, batches: Sequence[Batch], choices: Sequence[Tensor]) -> dict[str, "pyarrow.Array"]:
        """What a table of attributions says of each row, in the order of the batches."""

    def lacks(self, method: str) -> str | None:
        """Why a method says nothing of the model, in words; None if it does."""
        if method == "attention" and not attends(self.model):
            return "the model has no attention"
        return None

    def attention(self, batch: Batch, choice: Tensor) -> Tensor:
        """The weight of each step, (B, T); see ``attention_over_steps``."""
        with recorded_weights(self.model) as weights:
            self.score(batch, choice)
        per_row = max(1, max(len(calls[0]) for calls in weights.values() if calls) // len(batch.lengths))
        found = attention_over_steps(self.model, weights, batch.lengths.repeat_interleave(per_row))
        return found.unflatten(0, (-1, per_row)).mean(1)  # series may have a row for each variable


def evenly(size: int, count: int | None) -> np.ndarray:
    """At most ``count`` numbers from 0 to size - 1, at equal distances; all of them without a count."""
    return np.unique(np.linspace(0, size - 1, min(count or size, size)).astype(int))
