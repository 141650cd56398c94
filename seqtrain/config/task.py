"""Options of the tasks."""

from dataclasses import dataclass
from enum import Enum
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


class Softmax(Enum):
    """Over the vocabulary: the whole at once, or rare tokens in clusters."""

    full = "full"
    adaptive = "adaptive"


@dataclass
class LanguageModellingConfig(TaskConfig):
    """The next token of running text."""

    softmax: Softmax = Softmax.full
    """``full``, or ``adaptive`` for very large vocabularies (Grave et al. 2017)."""
    cutoffs: list[int] | None = None
    """First token of each cluster of the adaptive softmax; null takes V/16 and V/4."""
    tie_weights: bool = True
    """The rows of the full softmax are the embedding's vectors; a projection fits the features to them if need be."""
    projection_size: int | None = None
    """Size of a learned projection before the softmax; null has none but what tied vectors need."""
    order: int | None = None
    """Order of the n-gram baseline; null takes 5, or 7 for characters and bytes (tokens)."""
    sample_length: int = 100
    """Length of the samples written for TensorBoard at each evaluation (tokens)."""

    def check(self, key: str) -> None:
        adaptive = self.softmax is Softmax.adaptive
        require(adaptive or self.cutoffs is None, f"{key}.cutoffs", self.cutoffs,
                f"null with {key}.softmax=full")  # fmt: skip
        cutoffs = self.cutoffs or [1]
        require(cutoffs[0] >= 1 and sorted(set(cutoffs)) == cutoffs, f"{key}.cutoffs", self.cutoffs,
                "ascending numbers of at least 1, or null")  # fmt: skip
        for name in ("projection_size", "order", "sample_length"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{key}.{name}", value, "at least 1")
