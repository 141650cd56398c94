"""What a task gives the trainer: a head over the features, a loss, metrics, figures, baselines."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from seqtrain.config.base import DataConfig
from seqtrain.data.base import Batch, Dataset, DataSpec
from seqtrain.run_directory import RunDirectory

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
    details: dict[str, Any] = field(default_factory=dict)
    """Finer scores for results.json: of each class or variable, say; plain values, lists and dicts."""


class Meter(ABC):
    """Gathers a split's outputs, batch by batch, into an Evaluation. Sums and counts, so batch sizes never matter."""

    taken_in: ClassVar[tuple[str, ...]]
    """Attributes that hold what was taken in: numbers and arrays, which add up, and lists and dicts, which join."""

    def gathered(self) -> dict[str, Any]:
        """What was taken in, to be merged into the meter of another process."""
        return {name: getattr(self, name) for name in self.taken_in}

    def merge(self, gathered: dict[str, Any]) -> None:
        """Take in what another process's meter gathered of other rows."""
        for name, value in gathered.items():
            own = getattr(self, name)
            setattr(self, name, own | value if isinstance(own, dict) else own + value)

    @abstractmethod
    def update(self, batch: Batch, features: Tensor) -> None:
        """Take in a batch of features."""

    @abstractmethod
    def result(self) -> Evaluation:
        """Scores of all that was taken in."""


class Task(ABC):
    """What is predicted from features, and how well.

    A task is built as ``Task(config, spec)``, from its own options and the DataSpec.
    """

    targets: ClassVar[str]
    """What it predicts."""
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
    predictor: ClassVar[str | None] = None
    """The ``Predictor`` of the task, as ``module:Class``; None if it has none."""

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

    def scored_baselines(self, data: Dataset) -> dict[str, dict[str, Evaluation]]:
        """The same as evaluations, who -> split -> scores, for a task that has more to say of them than metrics."""
        table = self.baselines(data)
        return {who: {split: Evaluation(scores) for split, scores in splits.items()} for who, splits in table.items()}

    def final_figures(
        self,
        model: nn.Module,
        head: nn.Module,
        data: Dataset,
        device: torch.device,
        evaluations: Mapping[str, Evaluation],
        baselines: Mapping[str, Mapping[str, Evaluation]],
    ) -> dict[str, "Figure"]:
        """Figures, by tag, of the best checkpoint once all is scored.

        Args:
            model: with the weights of that checkpoint, in evaluation mode.
            head: the same.
            data: the data.
            device: where both are.
            evaluations: scores by split, without outputs.
            baselines: those of ``scored_baselines``; none where they are not wanted.
        """
        return {}

    @classmethod
    def stub_spec(cls, data: DataConfig) -> DataSpec:
        """A spec with which a model can be built before the data is read, to find out whether it can be at all."""
        return DataSpec(vocab_size=2, pad_id=0)

    def check_data(self, data: Dataset) -> None:  # noqa: B027
        """Raise DataError, before training, if the data does not serve what the task will do at its end."""

    def calibrate(self, evaluation: Evaluation, data: Dataset) -> Any:
        """What the task learns from the best checkpoint's outputs on validation, before test is read.

        Returns:
            Something that can be pickled, for ``set_calibration``; None for nothing.
        """
        return None

    def set_calibration(self, found: Any) -> None:  # noqa: B027
        """Use what ``calibrate`` found from now on."""

    def rescored(self, head: nn.Module, evaluation: Evaluation, data: Dataset) -> Evaluation:
        """The evaluation of validation with the scores that the calibration adds to it."""
        return evaluation

    def save_artifacts(self, run: RunDirectory, step: int) -> None:  # noqa: B027
        """Write what the task has learned besides the weights of the best checkpoint, which is of this step."""

    def load_artifacts(self, run: RunDirectory, checkpoint: str, step: int) -> None:  # noqa: B027
        """Read what ``save_artifacts`` wrote.

        Args:
            run: the run.
            checkpoint: whose weights are loaded: ``best`` or ``last``.
            step: of that checkpoint.

        Raises:
            RunError: if it is missing, damaged, or of another checkpoint.
        """

    def remarks(self) -> dict[str, str]:
        """What a reader of the scores must know, by key of results.json."""
        return {}


def linear_head(model: nn.Module, output_size: int) -> nn.Linear:
    """A linear layer from a model's features to outputs: Xavier-uniform weights, biases 0."""
    head = nn.Linear(cast(int, model.output_size), output_size)
    nn.init.xavier_uniform_(head.weight)
    nn.init.zeros_(head.bias)
    return head
