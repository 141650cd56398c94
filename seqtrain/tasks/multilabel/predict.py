"""Prediction of the labels of new sequences.

Shapes: N rows, C classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from torch import Tensor

from seqtrain.config.data import TextClassificationConfig
from seqtrain.data.base import Batch
from seqtrain.errors import DataError
from seqtrain.tasks.classification.predict import ProbabilityPredictor
from seqtrain.tasks.multilabel.task import MultilabelClassification

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class LabelSetPrediction:
    """The predicted labels of a sequence."""

    labels: list[str]
    """Names of the classes whose probability reaches their threshold, in the order of the classes."""
    probabilities: dict[str, float]
    """Probability of each class, by its name; they do not add up to 1."""


class LabelSetPredictor(ProbabilityPredictor):
    """Predicts the set of labels of each sequence and the probability of every class."""

    @property
    def thresholds(self) -> np.ndarray:
        """Probability of each class from which it is chosen, (C,)."""
        return cast(MultilabelClassification, self.trained.task).thresholds

    def outputs(self, batches: Iterable[Batch]) -> dict[str, np.ndarray]:
        """``probabilities`` of batches, (N, C)."""

        def sigmoid(batch: Batch, features: Tensor) -> tuple[np.ndarray, np.ndarray]:
            return batch.rows, self.trained.head(features).double().sigmoid().cpu().numpy()

        rows, probabilities = map(np.concatenate, zip(*self.trained.each_batch(batches, sigmoid), strict=True))
        return {"probabilities": probabilities[np.argsort(rows)]}

    def results(self, rows: Sequence[Any], outputs: dict[str, np.ndarray]) -> list[LabelSetPrediction]:
        names = self.class_names
        return [
            LabelSetPrediction(self.chosen(row), dict(zip(names, row.tolist(), strict=True)))
            for row in outputs["probabilities"]
        ]

    def chosen(self, probabilities: np.ndarray) -> list[str]:
        """Names of the classes that are chosen from probabilities, (C,)."""
        return [self.class_names[c] for c in np.flatnonzero(probabilities >= self.thresholds)]

    def columns(self, outputs: dict[str, np.ndarray], places: np.ndarray, count: int) -> dict[str, Any]:
        """The columns ``prediction``, the list of labels, and ``p_<class>``, the probability of each class."""
        import pyarrow as pa

        probabilities = outputs.get("probabilities", self.no_probabilities())
        labels: list[list[str] | None] = [None] * count
        for place, row in zip(places, probabilities, strict=True):
            labels[place] = self.chosen(row)
        shares = self.probability_columns(probabilities, places, count)
        return {"prediction": pa.array(labels, type=pa.list_(pa.string()))} | shares

    def without_lists(self, table: "pyarrow.Table") -> "pyarrow.Table":
        """The table with the labels of a row as one string, separated by ``data.label_separator`` or ``|``.

        Raises:
            DataError: if the separator occurs in the name of a class.
        """
        import pyarrow as pa

        separator = cast(TextClassificationConfig, self.data).label_separator or "|"
        if inside := [name for name in self.class_names if separator in name]:
            raise DataError(
                f"class {inside[0]!r} contains {separator!r}, which separates the labels of a row; write .jsonl or "
                ".parquet, or give another data.label_separator"
            )
        place = table.column_names.index("prediction")
        lists = table.column(place).to_pylist()
        joined = pa.array([None if labels is None else separator.join(labels) for labels in lists], type=pa.string())
        return table.set_column(place, "prediction", joined)
