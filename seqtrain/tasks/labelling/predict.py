"""Prediction of a label for each step of new sequences.

Shapes: B batch, T time, C classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from torch import Tensor

from seqtrain.data.base import Batch
from seqtrain.tasks.labelling.task import SequenceLabelling
from seqtrain.tasks.predicting import RowPredictor


@dataclass(frozen=True)
class LabelPrediction:
    """The predicted labels of a sequence."""

    labels: list[str]
    """Label of each step."""
    probabilities: list[float]
    """Probability of each of these labels."""


class LabelPredictor(RowPredictor):
    """Predicts a label, with its probability, for each step of sequences of any length."""

    suffixes: ClassVar[tuple[str, ...]] = (".conll",)

    def outputs(self, batches: Iterable[Batch]) -> dict[str, np.ndarray]:
        """``probabilities`` of the steps of all rows, one row after the other, (steps, C), and ``lengths`` of rows."""

        def softmax(batch: Batch, features: Tensor) -> tuple[Batch, np.ndarray]:
            return batch, self.trained.head(features).float().softmax(-1).cpu().numpy()

        found: dict[int, np.ndarray] = {}
        for batch, probabilities in self.trained.each_batch(batches, softmax):
            for i, (row, length) in enumerate(zip(batch.rows.tolist(), batch.lengths.tolist(), strict=True)):
                found[row] = probabilities[i, :length]
        in_order = [found[row] for row in sorted(found)]
        return {"probabilities": np.concatenate(in_order), "lengths": np.array([len(part) for part in in_order])}

    def results(self, rows: Sequence[Any], outputs: dict[str, np.ndarray]) -> list[LabelPrediction]:
        names = cast(SequenceLabelling, self.trained.task).class_names
        labels, shares = outputs["probabilities"].argmax(1), outputs["probabilities"].max(1)
        ends = np.cumsum(outputs["lengths"])[:-1]
        parts = zip(np.split(labels, ends), np.split(shares, ends), strict=True)
        return [LabelPrediction([names[i] for i in part], of_part.tolist()) for part, of_part in parts]

    def columns(self, outputs: dict[str, np.ndarray], places: np.ndarray, count: int) -> dict[str, Any]:
        """The column ``prediction``: a list of the labels of each row."""
        import pyarrow as pa

        labels: list[list[str] | None] = [None] * count
        for place, result in zip(places, self.results([], outputs) if outputs else [], strict=True):
            labels[place] = result.labels
        return {"prediction": pa.array(labels, type=pa.list_(pa.string()))}
