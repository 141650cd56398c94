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
        """``labels`` and ``probabilities`` of batches: an array for each row."""

        def highest(batch: Batch, features: Tensor) -> tuple[Batch, np.ndarray, np.ndarray]:
            probabilities, labels = self.trained.head(features).float().softmax(-1).max(-1)
            return batch, labels.cpu().numpy(), probabilities.cpu().numpy()

        found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for batch, labels, probabilities in self.trained.each_batch(batches, highest):
            for i, (row, length) in enumerate(zip(batch.rows.tolist(), batch.lengths.tolist(), strict=True)):
                found[row] = labels[i, :length], probabilities[i, :length]
        outputs = {name: np.empty(len(found), dtype=object) for name in ("labels", "probabilities")}
        for row, (labels, probabilities) in found.items():
            outputs["labels"][row], outputs["probabilities"][row] = labels, probabilities
        return outputs

    def results(self, rows: Sequence[Any], outputs: dict[str, np.ndarray]) -> list[LabelPrediction]:
        names = cast(SequenceLabelling, self.trained.task).class_names
        parts = zip(outputs["labels"], outputs["probabilities"], strict=True)
        return [LabelPrediction([names[i] for i in labels], shares.tolist()) for labels, shares in parts]

    def columns(self, outputs: dict[str, np.ndarray], places: np.ndarray, count: int) -> dict[str, Any]:
        """The column ``prediction``: a list of the labels of each row."""
        import pyarrow as pa

        labels: list[list[str] | None] = [None] * count
        for place, result in zip(places, self.results([], outputs) if outputs else [], strict=True):
            labels[place] = result.labels
        return {"prediction": pa.array(labels, type=pa.list_(pa.string()))}
