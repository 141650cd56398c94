"""Prediction with a trained model for new inputs, from Python and from files."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from seqtrain.config import registry
from seqtrain.config.root import Config
from seqtrain.data.base import Batch, Dataset
from seqtrain.errors import DataError
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.base import Evaluation, Task

if TYPE_CHECKING:
    import pyarrow

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """The model of a run with the weights of a checkpoint."""

    config: Config
    run: RunDirectory
    task: Task
    model: nn.Module
    head: nn.Module
    device: torch.device
    each_batch: Callable[[Iterable[Batch], Callable[[Batch, Tensor], Any]], Iterator[Any]]
    """Applies a function to each batch, on the device, and its features, without dropout and gradients."""

    def evaluate(self, batches: Iterable[Batch]) -> Evaluation:
        """Compute scores and outputs of batches."""
        meter = self.task.meter(self.head)
        for _ in self.each_batch(batches, meter.update):
            pass
        return meter.result()


class Predictor(ABC):
    """The predictions of a task for new inputs."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """File types for predictions, in addition to those of tables."""

    members: Sequence["Predictor"] = ()
    """Predictors of the members of an ensemble, of the same class; empty for a single model."""

    def __init__(self, trained: Trained):
        self.trained = trained
        self.config, self.data = trained.config, trained.config.data

    def pooled(self, compute: Callable[[Any], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The outputs that a function computes with this predictor, or the average of those with each member."""
        if not self.members:
            return compute(self)
        return self.trained.task.averaged([compute(member) for member in self.members])

    @abstractmethod
    def predict(self, inputs: Any) -> list[Any]:
        """A result for each input."""

    @abstractmethod
    def table(self, source: str) -> "pyarrow.Table":
        """Predictions for a file, or for stdin (-), as the ``predict`` command writes them.

        Raises:
            DataError: if the file cannot be used.
        """

    def without_lists(self, table: "pyarrow.Table") -> "pyarrow.Table":
        """Predictions for csv and tsv files, which have no lists."""
        return table


class RowPredictor(Predictor):
    """A predictor for tasks that predict each row separately; rows are read as those of the run's dataset.

    The prediction of a row does not depend on the other rows.
    """

    def __init__(self, trained: Trained):
        super().__init__(trained)
        self.dataset: type[Dataset] = registry.find("data", self.data.kind).load()

    @abstractmethod
    def outputs(self, batches: Iterable[Batch]) -> dict[str, np.ndarray]:
        """Outputs of the model for batches: arrays with an entry for each row, in order."""

    @abstractmethod
    def results(self, rows: Sequence[Any], outputs: dict[str, np.ndarray]) -> list[Any]:
        """The result of each row."""

    @abstractmethod
    def columns(self, outputs: dict[str, np.ndarray], places: np.ndarray, count: int) -> dict[str, Any]:
        """The columns, by name, that predictions add to a table.

        Args:
            outputs: outputs for the rows that have a prediction.
            places: positions of these rows in the table.
            count: number of rows of the table; rows without a prediction get null.
        """

    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        """The result of each row.

        Raises:
            TypeError: if ``inputs`` is a single string.
            DataError: if a row is not of the kind that the run was trained on.
        """
        if isinstance(inputs, str):
            raise TypeError("predict takes a list of inputs; for a single one, give [input]")
        return self.results(inputs, self.outputs_of(inputs)) if len(inputs) else []

    def outputs_of(self, rows: Sequence[Any]) -> dict[str, np.ndarray]:
        """Outputs of the model for rows, of which there is at least one."""

        def compute(each: RowPredictor) -> dict[str, np.ndarray]:
            return each.outputs(each.dataset.new_batches(each.data, each.trained.run.path, rows))

        return self.pooled(compute)

    def table(self, source: str) -> "pyarrow.Table":
        """The table of a file with added columns of predictions; they are null for empty rows."""
        read, rows, usable = self.dataset.read_rows(self.data, source)
        for note in read.notes:
            log.info("%s", note)
        table = read.columns
        places = np.flatnonzero(usable)
        if len(places) < len(rows):
            log.info("%s: %d empty rows have no prediction", source, len(rows) - len(places))
        outputs = self.outputs_of([rows[i] for i in places]) if len(places) else {}
        for name, values in self.columns(outputs, places, len(rows)).items():
            if name in table.column_names:
                raise DataError(f"{source}: already has a column {name!r}; rename it first")
            table = table.append_column(name, values)
        return table


def placed(values: np.ndarray, places: np.ndarray, count: int) -> "pyarrow.Array":
    """A column of ``count`` rows with the values at their places and null elsewhere."""
    import pyarrow as pa

    column = np.full(count, np.nan)
    column[places] = values
    return pa.array(column, mask=~np.isin(np.arange(count), places))
