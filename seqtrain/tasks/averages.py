"""Averages of the outputs of several models for the same rows, as ensembles take them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.statistics import Outputs

Average = Callable[[Sequence[NDArray[np.floating]]], NDArray[np.floating]]


def mean(values: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
    """The mean of arrays of one shape, float64."""
    total: NDArray[np.floating] = np.mean(values, axis=0, dtype=np.float64)
    return total


def log_mean_exp(values: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
    """The logarithm of the mean of the probabilities whose logarithms are given, float64."""
    total: NDArray[np.floating] = np.logaddexp.reduce(np.asarray(values, dtype=np.float64), axis=0)
    return total - np.log(len(values))


def averaged(outputs: Sequence[Outputs], averages: Mapping[str, Average]) -> dict[str, NDArray[Any]]:
    """The outputs of the first model with the average of all in place of those that ``averages`` names.

    Outputs that follow from averaged ones, such as the predicted class, are then still those of the first model.
    """
    together = {name: average([each[name] for each in outputs]) for name, average in averages.items()
                if name in outputs[0]}  # fmt: skip
    return dict(outputs[0]) | together


def joined(parts: Sequence[Outputs]) -> dict[str, NDArray[Any]]:
    """The outputs for the rows of several parts, one part after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
