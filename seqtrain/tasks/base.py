"""What a task gives the trainer: a head over the features, a loss, metrics, figures, baselines."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from seqtrain.data.base import Batch, Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = dict[str, dict[str, dict[str, float]]]  # scores: who -> split -> metric -> value


@dataclass
class Evaluation:
    """Scores of a model on a split, and the outputs they were computed from."""

    metrics: dict[str, float]
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    """One entry a row, in the order of the split's rows; or one a step, of all rows laid end to end."""
    sums: dict[str, np.ndarray] = field(default_factory=dict)
    """What figures are drawn from, where that is not the outputs."""


class Meter(ABC):
    """Gathers a split's outputs, batch by batch, into an Evaluation. Sums and counts, so batch sizes never matter."""

    @abstractmethod
    def update(self, features: Tensor, batch: Batch) -> None:
        """Take in a batch of features."""

    @abstractmethod
    def result(self) -> Evaluation:
        """Scores of all that was taken in."""


class Task(ABC):
    """What is predicted from features, and how well.

    A task is built as ``Task(config, spec)``, from its own options and the DataSpec.
    """

    targets: ClassVar[str]
    """What it predicts, as ``DataSpec.targets`` names it."""
    causal: bool
    """Whether features may depend on no later step."""
    pooled: bool
    """Whether there is one prediction per sequence."""
    carries_state: ClassVar[bool] = False
    """Whether a batch goes on where the one before it ended."""
    monitor: str
    """Metric on validation that chooses the best checkpoint."""
    maximize: ClassVar[bool]
    """Whether a higher value of it is better."""
    shown: ClassVar[tuple[str, ...]]
    """Metrics of the final table, in order."""

    @abstractmethod
    def build_head(self, model: nn.Module) -> nn.Module:
        """The layers between a model's features and outputs."""

    def features(self, model: nn.Module, head: nn.Module, batch: Batch, state: Any) -> tuple[Tensor, Any]:
        """What the model makes of a batch, and the state after it."""
        return model(batch, state)

    @abstractmethod
    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        """Training loss summed over a batch; over the sum of ``count`` of the step's batches, it is the mean."""

    @abstractmethod
    def count(self, batch: Batch) -> Tensor:
        """What the loss of a batch is to be divided by."""

    @abstractmethod
    def meter(self, head: nn.Module) -> Meter:
        """A fresh meter."""

    def figures(self, evaluation: Evaluation) -> dict[str, "Figure"]:
        """Figures of an evaluation, by tag."""
        return {}

    def illustrate(
        self, model: nn.Module, head: nn.Module, data: Dataset, device: torch.device
    ) -> tuple[dict[str, "Figure"], dict[str, str]]:
        """Figures and texts, by tag, of what the model, in evaluation mode, does with a few rows of validation."""
        return {}, {}

    def baselines(self, data: Dataset) -> Table:
        """Scores of simple methods fitted on train."""
        return {}


def linear_head(model: nn.Module, output_size: int) -> nn.Linear:
    """A linear layer from a model's features to outputs: Xavier-uniform weights, biases 0."""
    head = nn.Linear(cast(int, model.output_size), output_size)
    nn.init.xavier_uniform_(head.weight)
    nn.init.zeros_(head.bias)
    return head
