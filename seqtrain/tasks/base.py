"""The interface of a task: a head over features, a loss, metrics, figures, baselines and calibration."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from seqtrain.config.base import DataConfig, ModelConfig, TaskConfig
from seqtrain.config.task import RegularisedConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.spec import DataSpec
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.averages import Average, averaged
from seqtrain.tasks.statistics import Outputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Curve = tuple[np.ndarray, np.ndarray]
"""Probabilities, in [0, 1], and whether each is of something true, (N,) each: what precision and recall are of."""

FINAL_GROUPS = {"validation": "best", "test": "test"}
"""Groups of the tags of what is known of a split at the end, of the best checkpoint."""

Table = dict[str, dict[str, dict[str, float]]]  # scores: method -> split -> metric -> value


@dataclass
class Evaluation:
    """Scores of a model on a split, and the outputs they were computed from."""

    metrics: dict[str, float]
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    """Arrays with an entry for each row, in the order of the split, or for each step of all rows, concatenated."""
    sums: dict[str, np.ndarray] = field(default_factory=dict)
    """Arrays that figures are drawn from, or a calibration is fitted on, other than the outputs."""
    details: dict[str, Any] = field(default_factory=dict)
    """Finer scores for results.json, such as those of each class or variable: plain values, lists and dicts."""


class Meter(ABC):
    """Collects the outputs of a split, batch by batch, for an Evaluation.

    Scores are computed from sums and counts, so that they do not depend on the batch size.
    """

    taken_in: ClassVar[tuple[str, ...]]
    """Names of the attributes that accumulate: numbers and arrays are added up, lists and dicts are joined."""

    def gathered(self) -> dict[str, Any]:
        """The accumulated values, to be merged into the meter of another process."""
        return {name: getattr(self, name) for name in self.taken_in}

    def merge(self, gathered: dict[str, Any]) -> None:
        """Add the values that the meter of another process gathered from other rows."""
        for name, value in gathered.items():
            own = getattr(self, name)
            setattr(self, name, own | value if isinstance(own, dict) else own + value)

    @abstractmethod
    def update(self, batch: Batch, features: Tensor) -> None:
        """Add a batch and its features."""

    @abstractmethod
    def result(self) -> Evaluation:
        """Scores of all batches that were added."""


class Task(ABC):
    """What is predicted from features, how it is learned and how it is scored.

    A task is built as ``Task(config, spec)``, from its own options and the DataSpec.
    """

    targets: ClassVar[str]
    """What it predicts."""
    causal: bool
    """Whether features must not depend on later steps."""
    pooled: bool
    """Whether there is one prediction per sequence."""
    carries_state: ClassVar[bool] = False
    """Whether a batch continues where the previous one ended."""
    monitor: str
    """Metric on validation that chooses the best checkpoint."""
    maximize: ClassVar[bool]
    """Whether a higher value of ``monitor`` is better."""
    shown: ClassVar[tuple[str, ...]]
    """Metrics of the final table, in order."""
    regularisers: RegularisedConfig | None = None
    """Options of the regularisers that need further outputs than those of a batch; None for a task without them."""
    separate_in_head: ClassVar[tuple[str, ...]] = ()
    """Parts of the head, by name, that a run can take of another one without the rest."""
    averages: ClassVar[Mapping[str, Average]] = {}
    """How an ensemble averages outputs, by name; empty if the task has no ensembles."""
    scores_need_data: ClassVar[bool] = False
    """Whether ``scored`` needs the dataset."""
    predictor: ClassVar[str | None] = None
    """The ``Predictor`` of the task as ``module:Class``; None if there is none."""
    inspector: ClassVar[str | None] = None
    """The function that makes sections of a page on the errors of a run, as ``module:function``; None if there is none.

    It takes a ``Material`` and returns a list of ``Section``."""
    subject: ClassVar[str | None] = None
    """The ``Subject`` by which its predictions are explained, as ``module:Class``; None if they are not."""

    @classmethod  # noqa: B027
    def check_model(cls, config: TaskConfig, model: ModelConfig) -> None:
        """Raise ConfigError if options of a model do not fit those of the task; called before data is read."""

    @abstractmethod
    def build_head(self, model: nn.Module) -> nn.Module:
        """The layers from the features of a model to the outputs."""

    def begin_step(self, share: float) -> None:  # noqa: B027
        """Called before each training step, with the share of the run's steps that are made, in [0, 1)."""

    def features(self, model: nn.Module, head: nn.Module, batch: Batch, state: Any) -> tuple[Tensor, Any]:
        """The features that a model computes from a batch, and the state after it."""
        return model(batch, state)

    @abstractmethod
    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        """Training loss summed over a batch; divided by the ``count`` of all batches of a step, it is the mean."""

    def last_loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        """Loss of one prediction of each row, summed: for a task that predicts at every step, at the last real one.

        It shows how far back a prediction depends on the input.
        """
        return self.loss(head, features, batch)

    @abstractmethod
    def count(self, batch: Batch) -> Tensor:
        """The number (or weight) of targets in a batch, by which the loss is divided."""

    def divergence(self, expected: Tensor, outputs: Tensor) -> Tensor:
        """How far the predictions of ``outputs`` are from those of ``expected``: the KL divergence in nats of each row.

        Args:
            expected: float32 outputs of the head.
            outputs: the same of another pass.

        Returns:
            (B,); its mean times ``count`` is comparable to the summed loss.
        """
        raise NotImplementedError(f"{type(self).__name__} has no regularisers")

    @abstractmethod
    def meter(self, head: nn.Module) -> Meter:
        """A new, empty meter."""

    def figures(self, evaluation: Evaluation) -> dict[str, "Figure"]:
        """Figures of an evaluation, by tag."""
        return {}

    def tables(self, evaluation: Evaluation) -> dict[str, str]:
        """Finer scores of an evaluation as Markdown, by tag; written at the end, of the best checkpoint."""
        return {}

    def curves(self, evaluation: Evaluation) -> dict[str, Curve]:
        """What precision is to be drawn against recall from, by tag; at the end, of the best checkpoint."""
        return {}

    def illustrate(
        self, model: nn.Module, head: nn.Module, data: Dataset, device: torch.device
    ) -> tuple[dict[str, "Figure"], dict[str, str]]:
        """Figures and texts, by tag, of a few rows of validation; the model is in evaluation mode."""
        return {}, {}

    def baselines(self, data: Dataset) -> Table:
        """Scores of simple methods fitted on train."""
        return {}

    def scored_baselines(self, data: Dataset) -> dict[str, dict[str, Evaluation]]:
        """Evaluations of the baselines, method -> split; override it for scores other than metrics."""
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
        """Figures, by tag, of the best checkpoint, after all splits are scored: by default those of each evaluation.

        Args:
            model: model with the weights of that checkpoint, in evaluation mode.
            head: head with the weights of that checkpoint, in evaluation mode.
            data: the dataset.
            device: device of model and head.
            evaluations: evaluations by split.
            baselines: the result of ``scored_baselines``; empty if baselines are switched off.
        """
        drawn = {FINAL_GROUPS[split]: self.figures(evaluation) for split, evaluation in evaluations.items()}
        return {f"{group}/{tag}": figure for group, figures in drawn.items() for tag, figure in figures.items()}

    def unlike_in_head(self, config: TaskConfig, spec: DataSpec, run: Path, data: Dataset) -> Collection[str] | None:
        """What of the head means something else in another run of this kind of task.

        Args:
            config: the options of the task there.
            spec: the spec of the data there.
            run: directory of that run.
            data: the dataset here.

        Returns:
            Parts of the head, by name; None for all of it.
        """
        return () if spec.class_names == data.spec.class_names else None

    @classmethod
    def stub_spec(cls, data: DataConfig) -> DataSpec:
        """A minimal spec, with which a model can be built as a check before the data is read."""
        return DataSpec(vocab_size=2, pad_id=0)

    def check_data(self, data: Dataset) -> None:  # noqa: B027
        """Raise DataError, before training, if the data lacks what the task needs at the end of training."""

    def calibrate(self, evaluation: Evaluation, data: Dataset) -> Any:
        """Calibrate the task on the outputs of the best checkpoint on validation, before test is read.

        Returns:
            An object for ``set_calibration`` that can be pickled; None if there is nothing to calibrate.
        """
        return None

    def set_calibration(self, found: Any) -> None:  # noqa: B027
        """Set the result of ``calibrate``, which later scores and predictions use."""

    def rescored(self, head: nn.Module, evaluation: Evaluation, data: Dataset) -> Evaluation:
        """The evaluation of validation, extended by the scores that need the calibration."""
        return evaluation

    def save_artifacts(self, run: RunDirectory, step: int) -> None:  # noqa: B027
        """Write what the task learned besides weights; ``step`` is that of the best checkpoint."""

    def load_artifacts(self, run: RunDirectory, checkpoint: str, step: int) -> None:  # noqa: B027
        """Read what ``save_artifacts`` wrote.

        Args:
            run: the run.
            checkpoint: name of the checkpoint whose weights are loaded: ``best`` or ``last``.
            step: step of that checkpoint.

        Raises:
            RunError: if a file is missing, damaged, or belongs to another checkpoint.
        """

    def averaged(self, outputs: Sequence[Outputs]) -> dict[str, np.ndarray]:
        """The outputs of an ensemble, from those of its members for the same rows."""
        return averaged(outputs, self.averages)

    def scored(self, parts: Sequence[tuple[Outputs, Dataset | None]], split: str) -> Evaluation:
        """Scores of outputs that ``averaged`` returned.

        Args:
            parts: the outputs, with the dataset if ``scores_need_data``. There are several parts where each fold has
                rows of its own.
            split: the split of the rows.

        Returns:
            Scores of all rows together; and their outputs, one part after the other.
        """
        raise NotImplementedError

    def remarks(self) -> dict[str, str]:
        """Remarks for the reader of the scores, by key of results.json."""
        return {}


def at_last_step(features: Tensor, batch: Batch) -> tuple[Tensor, Batch]:
    """Features (B, T, H) at the last real step of each row, (B, 1, H), and the batch with the targets there."""
    row, last = torch.arange(len(features), device=features.device), batch.lengths - 1
    chosen = replace(batch, targets=batch.targets[row, last][:, None], lengths=torch.ones_like(batch.lengths))
    return features[row, last][:, None], chosen


def linear_head(model: nn.Module, output_size: int) -> nn.Linear:
    """A linear layer from the features of a model to outputs, with Xavier-uniform weights and zero biases.

    If the model has a wide part, its last features are a score of each output, and the layer adds them at first.
    """
    head = nn.Linear(cast(int, model.output_size), output_size)
    nn.init.xavier_uniform_(head.weight)
    nn.init.zeros_(head.bias)
    if getattr(model, "wide", None) is not None:
        nn.init.eye_(head.weight[:, -output_size:])
    return head
