"""Options of the tasks."""

from dataclasses import dataclass
from typing import Any

from seqtrain.config.base import TaskConfig, require


@dataclass
class ClassificationConfig(TaskConfig):
    """One label per sequence."""

    class_weights: Any = "none"
    """Weight of each class in the training loss: ``none``, ``balanced`` (inverse frequency in train) or a list."""
    label_smoothing: float = 0.0
    """Share of the target's probability spread evenly over all classes in the training loss."""

    def check(self, key: str) -> None:
        weights = self.class_weights
        listed = isinstance(weights, list) and all(
            isinstance(w, int | float) and not isinstance(w, bool) and w > 0 for w in weights
        )
        require(weights in ("none", "balanced") or (listed and weights), f"{key}.class_weights", weights,
                "none, balanced, or a list with one number above 0 per class")  # fmt: skip
        require(0 <= self.label_smoothing < 1, f"{key}.label_smoothing", self.label_smoothing, "in [0, 1)")


@dataclass
class SequenceRegressionConfig(TaskConfig):
    """One number per sequence, by squared error."""


@dataclass
class SequenceLabellingConfig(TaskConfig):
    """One label per step."""

    label_smoothing: float = 0.0
    """Share of the target's probability spread evenly over all labels in the training loss."""

    def check(self, key: str) -> None:
        require(0 <= self.label_smoothing < 1, f"{key}.label_smoothing", self.label_smoothing, "in [0, 1)")
