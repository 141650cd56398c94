"""Prediction of classes of new sequences.

Shapes: N rows, C classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

from seqtrain.data.base import Batch
from seqtrain.tasks.predicting import RowPredictor, placed


class HasClasses(Protocol):
    """A task with classes."""

    class_names: list[str]


@dataclass(frozen=True)
class ClassPrediction:
    """The predicted class of a sequence."""

    label: str
    """Name of the most probable class."""
    probabilities: dict[str, float]
    """Probability of each class, by its name."""


class ProbabilityPredictor(RowPredictor):
    """A predictor whose outputs are the ``probabilities`` of every class, (N, C)."""

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of the probabilities."""
        return cast(HasClasses, self.trained.task).class_names

    def predict_probabilities(self, rows: Sequence[Any]) -> np.ndarray:
        """Probability of each class for each sequence, (N, C)."""
        return self.outputs_of(rows)["probabilities"] if len(rows) else self.no_probabilities()

    def no_probabilities(self) -> np.ndarray:
        """The probabilities of no sequence, (0, C)."""
        return np.zeros((0, len(self.class_names)))

    def probability_columns(self, probabilities: np.ndarray, places: np.ndarray, count: int) -> dict[str, Any]:
        """The columns ``p_<class>`` of a table of ``count`` rows, from the probabilities of the rows at ``places``."""
        columns = zip(self.class_names, probabilities.T, strict=True)
        return {f"p_{name}": placed(p, places, count) for name, p in columns}


class ClassPredictor(ProbabilityPredictor):
    """Predicts the class of each sequence and the probability of every class."""

    def outputs(self, batches: Iterable[Batch]) -> dict[str, np.ndarray]:
        return self.trained.evaluate(batches).outputs

    def results(self, rows: Sequence[Any], outputs: dict[str, np.ndarray]) -> list[ClassPrediction]:
        names = self.class_names
        return [
            ClassPrediction(names[row.argmax()], dict(zip(names, row.tolist(), strict=True)))
            for row in outputs["probabilities"]
        ]

    def columns(self, outputs: dict[str, np.ndarray], places: np.ndarray, count: int) -> dict[str, Any]:
        """The columns ``prediction``, the class, and ``p_<class>``, the probability of each class."""
        import pyarrow as pa

        probabilities = outputs.get("probabilities", self.no_probabilities())
        labels = np.full(count, None, dtype=object)
        labels[places] = np.array(self.class_names, dtype=object)[probabilities.argmax(1)]
        shares = self.probability_columns(probabilities, places, count)
        return {"prediction": pa.array(labels, type=pa.string())} | shares
