"""Prediction of a number for each new sequence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqtrain.data.base import Batch
from seqtrain.tasks.predicting import RowPredictor, placed


@dataclass(frozen=True)
class NumberPrediction:
    """The predicted number of a sequence."""

    value: float
    """The number, in the units of the targets."""


class NumberPredictor(RowPredictor):
    """Predicts the number of each sequence."""

    def outputs(self, batches: Iterable[Batch]) -> dict[str, np.ndarray]:
        return self.trained.evaluate(batches).outputs

    def results(self, rows: Sequence[Any], outputs: dict[str, np.ndarray]) -> list[NumberPrediction]:
        return [NumberPrediction(value) for value in outputs["predictions"].tolist()]

    def columns(self, outputs: dict[str, np.ndarray], places: np.ndarray, count: int) -> dict[str, Any]:
        """The column ``prediction``: the number of each row."""
        return {"prediction": placed(outputs.get("predictions", np.zeros(0)), places, count)}
