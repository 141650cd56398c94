"""A trained model at work on new inputs, from Python and from files."""

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
from seqtrain.run_directory import RunDirectory
from seqtrain.tasks.base import Evaluation, Task

if TYPE_CHECKING:
    import pyarrow

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A run's model with the weights of a checkpoint."""

    config: Config
    run: RunDirectory
    task: Task
    model: nn.Module
    head: nn.Module
    device: torch.device
    each_batch: Callable[[Iterable[Batch], Callable[[Batch, Tensor], Any]], Iterator[Any]]
    """What a function returns for each batch, on the device, and its features: without dropout and gradients."""

    def evaluate(self, batches: Iterable[Batch]) -> Evaluation:
        """Scores and outputs of batches."""
        meter = self.task.meter(self.head)
        for _ in self.each_batch(batches, meter.update):
            pass
        return meter.result()


class Predictor(ABC):
    """What a task says of new inputs."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Types of output that it offers beside those of tables."""

    def __init__(self, trained: Trained):
        self.trained = trained
        self.config, self.data = trained.config, trained.config.data

    @abstractmethod
    def predict(self, inputs: Any) -> list[Any]:
        """A result for each input."""

    @abstractmethod
    def table(self, source: str) -> "pyarrow.Table":
        """Predictions for a file, or for stdin (-), as the ``predict`` command writes them.

        Raises:
            DataError: if the file cannot be used.
        """


class RowPredictor(Predictor):
    """A predictor for tasks that say something of each row by itself: the rows are read as the run's data are.

    A row's prediction does not depend on the others.
    """

    def __init__(self, trained: Trained):
        super().__init__(trained)
        self.dataset: type[Dataset] = registry.find("data", self.data.kind).load()

    @abstractmethod
    def outputs(self, batches: Iterable[Batch]) -> dict[str, np.ndarray]:
        """What the model says of batches, an entry a row, in the order of the rows."""

    @abstractmethod
    def results(self, rows: Sequence[Any], outputs: dict[str, np.ndarray]) -> list[Any]:
        """The result of each row."""

    @abstractmethod
    def columns(self, outputs: dict[str, np.ndarray], places: np.ndarray, count: int) -> dict[str, Any]:
        """Columns that a table gains, by name.

        Args:
            outputs: of the rows that have a prediction.
            places: where these rows stand in the table.
            count: rows of the table; the others get null.
        """

    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        """The result of each row.

        Raises:
            TypeError: if ``inputs`` is a single text.
            DataError: if a row is not of the kind that the run was trained on.
        """
        if isinstance(inputs, str):
            raise TypeError("predict takes a list of inputs; for a single one, give [input]")
        return self.results(inputs, self.outputs_of(inputs)) if len(inputs) else []

    def outputs_of(self, rows: Sequence[Any]) -> dict[str, np.ndarray]:
        """What the model says of rows, at least one."""
        return self.outputs(self.dataset.new_batches(self.data, self.trained.run.path, rows))

    def table(self, source: str) -> "pyarrow.Table":
        """The table of a file with the columns that say what is predicted; null where a row holds nothing."""
        table, rows, usable = self.dataset.read_rows(self.data, source)
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
    """Numbers at their places of a column, null elsewhere."""
    import pyarrow as pa

    column = np.full(count, np.nan)
    column[places] = values
    return pa.array(column, mask=~np.isin(np.arange(count), places))
