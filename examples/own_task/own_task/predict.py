"""Stars of new texts, from the command line and from Python.

Shapes: N rows, K classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from own_task.task import Stars
from seqtrain.data.base import Batch
from seqtrain.tasks.predicting import RowPredictor, placed


@dataclass(frozen=True)
class StarPrediction:
    """The stars of a text."""

    stars: int
    """The most probable number."""
    expected: float
    """The mean over all numbers, weighted by their probabilities."""


class StarPredictor(RowPredictor):
    """The stars of each text. ``RowPredictor`` reads the rows by the dataset's ``read_rows`` and ``new_batches``."""

    def outputs(self, batches: Iterable[Batch]) -> dict[str, np.ndarray]:
        names = np.array(cast(Stars, self.trained.task).spec.class_names, dtype=int)
        probabilities = self.trained.evaluate(batches).outputs["probabilities"]
        return {"stars": names[probabilities.argmax(1)], "expected": probabilities @ names}

    def results(self, rows: Sequence[Any], outputs: dict[str, np.ndarray]) -> list[StarPrediction]:
        pairs = zip(outputs["stars"].tolist(), outputs["expected"].tolist(), strict=True)
        return [StarPrediction(stars, expected) for stars, expected in pairs]

    def columns(self, outputs: dict[str, np.ndarray], places: np.ndarray, count: int) -> dict[str, Any]:
        """``prediction``, the most probable number of stars, and ``expected``, the mean."""
        empty = np.zeros(0)
        return {
            "prediction": placed(outputs.get("stars", empty), places, count).cast("int64"),
            "expected": placed(outputs.get("expected", empty), places, count),
        }
