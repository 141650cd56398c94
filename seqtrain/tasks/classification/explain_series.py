"""Explanations of the predicted class of a series: a step is replaced by the mean of its series.

Shapes: B series, T steps, D features of a step, C classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from seqtrain.config.series_classes import SeriesClassesConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.rows.batching import sorted_batches
from seqtrain.data.series_classes.dataset import SeriesClasses
from seqtrain.errors import DataError
from seqtrain.layers.masks import real_steps
from seqtrain.tasks.classification.log_odds import log_odds
from seqtrain.tasks.classification.predict import HasClasses
from seqtrain.tasks.classification.task import Classification
from seqtrain.tasks.explaining.subject import Subject, evenly
from seqtrain.tasks.predicting import Trained

if TYPE_CHECKING:
    import pyarrow


class SeriesSubject(Subject):
    """The log-odds of the most probable class of a series; curves show its probability.

    A removed step has the mean of its own series in each feature. The baseline of gradients is a series of these means.
    Steps are those that the model reads: with ``data.max_length`` one may be the mean of several steps of the file.
    """

    removals = ("mean",)
    score_name = "probability of the predicted class"

    def __init__(self, trained: Trained, removal: str | None = None):
        super().__init__(trained, removal)
        self.options = cast(SeriesClassesConfig, trained.config.data)
        self.task = cast(Classification, trained.task)

    def batches(self, data: Dataset, split: str, numbers: np.ndarray) -> Iterator[Batch]:
        data = cast(SeriesClasses, data)
        for rows in sorted_batches(data.lengths(split)[numbers], self.options.eval_batch_tokens):
            yield data.batch(split, numbers[rows])

    def new_batches(self, source: str, count: int | None = None) -> Iterator[Batch]:
        _, series, usable = SeriesClasses.read_rows(self.options, source)
        places = np.flatnonzero(usable)
        if not len(places):
            raise DataError(f"input={source}: has no series to explain; give a file with at least one known value")
        places = places[evenly(len(places), count)]
        for batch in SeriesClasses.new_batches(self.options, self.trained.run.path, [series[i] for i in places]):
            yield replace(batch, rows=places[batch.rows])

    def choose(self, batch: Batch) -> Tensor:
        """The most probable class, (B,)."""
        with torch.no_grad():
            return self.logits(batch).argmax(-1)

    def logits(self, batch: Batch) -> Tensor:
        """Logits, (B, C), float64."""
        logits: Tensor = self.head(self.model(batch)[0])
        return logits.double()

    def score(self, batch: Batch, choice: Tensor) -> Tensor:
        return log_odds(self.task, self.logits(batch), choice)

    def shown(self, score: Tensor) -> Tensor:
        return score.sigmoid()

    def inputs(self, batch: Batch) -> Tensor:
        return batch.inputs

    def baseline(self, batch: Batch) -> Tensor:
        """The mean of each series over its real steps, at each of them, and 0 on padding, (B, T, D)."""
        real = real_steps(batch.lengths, batch.inputs.shape[1])[..., None]
        means = (batch.inputs * real).sum(1, keepdim=True) / batch.lengths[:, None, None]
        return means * real

    def score_of_inputs(self, inputs: Tensor, batch: Batch, choice: Tensor) -> Tensor:
        return self.score(replace(batch, inputs=inputs), choice)

    def without(self, batch: Batch, kept: Tensor) -> Batch:
        return replace(batch, inputs=torch.where(kept[..., None], batch.inputs, self.baseline(batch)))

    def columns(self, batches: Sequence[Batch], choices: Sequence[Tensor]) -> dict[str, "pyarrow.Array"]:
        """The predicted class of each series."""
        import pyarrow as pa

        names = cast(HasClasses, self.task).class_names
        return {"prediction": pa.array([names[c] for each in choices for c in each.tolist()], type=pa.string())}
