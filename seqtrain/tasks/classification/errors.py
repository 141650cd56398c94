"""What a classifier gets wrong, found in its stored probabilities. Imports no torch.

Shapes: N rows, C classes, K pairs of classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.group_differences import group_differences
from seqtrain.tasks.statistics import Outputs

Integers = NDArray[np.integer]

MOST_CLASSES = 20
"""Of which the easiest rows are found."""


@dataclass(frozen=True)
class Predictions:
    """Probabilities of a classifier, and what follows from them."""

    probabilities: NDArray[np.floating]
    """(N, C)."""
    targets: Integers
    """True classes, (N,)."""

    @classmethod
    def of(cls, outputs: Outputs) -> "Predictions":
        """Those that a run stored."""
        return cls(outputs["probabilities"], outputs["targets"])

    @property
    def guesses(self) -> Integers:
        """Most probable class of each row, (N,)."""
        return self.probabilities.argmax(1)

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """(N,)."""
        return self.guesses != self.targets

    @property
    def confidence(self) -> NDArray[np.floating]:
        """Probability of the most probable class, (N,)."""
        return self.probabilities.max(1)

    @property
    def of_true(self) -> NDArray[np.floating]:
        """Probability of the true class, (N,)."""
        return self.probabilities[np.arange(len(self.targets)), self.targets]

    @property
    def losses(self) -> NDArray[np.float64]:
        """Negative log-probability of the true class in nats, (N,)."""
        return -np.log(np.maximum(self.of_true, np.finfo(np.float64).tiny))

    def confident_errors(self, count: int) -> Integers:
        """Places of the wrong rows with the most probable predictions, at most ``count``, the most probable first."""
        places = np.flatnonzero(self.wrong)
        return places[np.argsort(-self.confidence[places], kind="stable")][:count]

    def hardest(self, count: int) -> Integers:
        """Places of the rows with the largest losses, at most ``count``."""
        return np.argsort(-self.losses, kind="stable")[:count]

    def easiest(self, count: int) -> Integers:
        """Places of the rows of each class with the smallest losses, at most ``count`` of each class.

        Of more than 20 classes, those with the smallest losses.
        """
        losses, found = self.losses, []
        for number in np.unique(self.targets):
            places = np.flatnonzero(self.targets == number)
            found.append(places[np.argsort(losses[places], kind="stable")][:count])
        found.sort(key=lambda places: float(losses[places[0]]))
        return np.concatenate(found[:MOST_CLASSES])

    def counts(self) -> Integers:
        """Number of rows by true class and prediction, (C, C)."""
        classes = self.probabilities.shape[1]
        return np.bincount(self.targets * classes + self.guesses, minlength=classes**2).reshape(classes, classes)


def confusions(counts: Integers) -> tuple[Integers, Integers]:
    """Pairs of a true class and another one that is predicted instead, those of most rows first, (K,) each."""
    off = counts.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[: np.count_nonzero(off)]
    true, predicted = np.unravel_index(order, off.shape)
    return true, predicted


@dataclass(frozen=True)
class ConfusionDifference:
    """How much more often one classifier takes a class for another than a second classifier does."""

    true: int
    predicted: int
    first: int
    """Number of rows of the first classifier."""
    second: int
    value: float
    """Difference of the shares of the true class's rows."""
    lower: float
    upper: float
    """Ends of a 95 % interval."""

    @property
    def shown(self) -> bool:
        """Whether the interval excludes 0."""
        return self.lower > 0 or self.upper < 0


def confusion_differences(first: Predictions, second: Predictions) -> list[ConfusionDifference]:
    """The confusions of which two classifiers have unequal numbers on the same rows, the largest difference first."""
    ours, theirs = first.counts(), second.counts()
    gap = np.abs(ours - theirs)
    np.fill_diagonal(gap, 0)
    found = []
    order = np.argsort(-gap, axis=None, kind="stable")[: np.count_nonzero(gap)]
    guesses = first.guesses, second.guesses
    for true, predicted in zip(*np.unravel_index(order, gap.shape), strict=True):
        rows = first.targets == true
        differences = (guesses[0][rows] == predicted).astype(np.float64) - (guesses[1][rows] == predicted)
        of = group_differences(differences, np.zeros(len(differences), dtype=np.int64), 1)
        numbers = int(ours[true, predicted]), int(theirs[true, predicted])
        ends = float(of.value[0]), float(of.lower[0]), float(of.upper[0])
        found.append(ConfusionDifference(int(true), int(predicted), *numbers, *ends))
    return found
