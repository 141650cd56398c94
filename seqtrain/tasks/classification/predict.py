"""Prediction of classes of new sequences.

Shapes: N rows, C classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from seqtrain.data.base import Batch
from seqtrain.tasks.classification.task import Classification
from seqtrain.tasks.predicting import RowPredictor, placed


@dataclass(frozen=True)
class ClassPrediction:
    """The predicted class of a sequence."""

    label: str
    """Name of the most probable class."""
    probabilities: dict[str, float]
    """Probability of each class, by its name."""


class ClassPredictor(RowPredictor):
    """Predicts the class of each sequence and the probability of every class."""

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of the probabilities."""
        return cast(Classification, self.trained.task).class_names

    def outputs(self, batches: Iterable[Batch]) -> dict[str, np.ndarray]:
        return self.trained.evaluate(batches).outputs

    def predict_probabilities(self, rows: Sequence[Any]) -> np.ndarray:
        """Probability of each class for each sequence, (N, C)."""
        return self.outputs_of(rows)["probabilities"] if len(rows) else np.zeros((0, len(self.class_names)))

    def results(self, rows: Sequence[Any], outputs: dict[str, np.ndarray]) -> list[ClassPrediction]:
        names = self.class_names
        return [
            ClassPrediction(names[row.argmax()], dict(zip(names, row.tolist(), strict=True)))
            for row in outputs["probabilities"]
        ]

    def columns(self, outputs: dict[str, np.ndarray], places: np.ndarray, count: int) -> dict[str, Any]:
        """The columns ``prediction``, the class, and ``p_<class>``, the probability of each class."""
        import pyarrow as pa

        names = self.class_names
        probabilities = outputs.get("probabilities", np.zeros((0, len(names))))
        labels = np.full(count, None, dtype=object)
        labels[places] = np.array(names, dtype=object)[probabilities.argmax(1)]
        shares = {f"p_{name}": placed(p, places, count) for name, p in zip(names, probabilities.T, strict=True)}
        return {"prediction": pa.array(labels, type=pa.string())} | shares
