"""Rows whose given label is unlikely, by confident learning.

Shapes: N rows, C classes.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtrain.errors import RunError


@dataclass(frozen=True)
class Suspect:
    """A row whose given label is unlikely."""

    place: int
    """Place of the row among the N."""
    given: int
    """Number of its given class; of a row with a set of labels: of the class that is doubted."""
    likely: int
    """Number of its likely class; of a row with a set of labels, as ``given``."""
    given_probability: float
    """Of what is given."""
    likely_probability: float
    """Of what is likely."""


def unlikely_rows(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Places of the rows whose given label is unlikely, the least likely first.

    Confident learning estimates how many rows of given class i are truly of class j, from the rows whose probability of
    j reaches its mean over the rows given as j. So many rows of i, with the largest difference between the
    probabilities of j and i, are returned.

    Args:
        probabilities: from models that were not trained on the rows, (N, C).
        labels: given class of each row, (N,).

    Raises:
        RunError: if the package cleanlab is not installed.

    Source: Northcutt, Jiang and Chuang 2021, "Confident learning", sections 3.1 and 3.2 (prune by noise rate), as
    ``cleanlab.filter.find_label_issues``.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise RunError(
            f"label-errors: needs the package {error.name}, which is not installed; pip install "
            "'seqtrain[label-errors]'"
        ) from error
    present, numbers = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        return np.array([], dtype=np.int64)
    own = probabilities[:, present].astype(np.float64)
    own /= np.maximum(own.sum(1, keepdims=True), np.finfo(np.float64).tiny)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it changes, and of the options that it will have
        found: NDArray[np.integer] = find_label_issues(
            numbers, own, return_indices_ranked_by="self_confidence", n_jobs=1
        )
    return found


def suspects(probabilities: NDArray[np.floating], targets: NDArray[Any]) -> list[Suspect]:
    """The rows whose given label is unlikely, the least likely first.

    Of rows with sets of labels each class is judged on its own, as whether it applies.

    Args:
        probabilities: from models that were not trained on the rows, (N, C).
        targets: given class of each row, (N,), or whether each class applies to it, (N, C).

    Raises:
        RunError: if the package cleanlab is not installed.
    """
    if targets.ndim == 1:
        found = []
        for place in unlikely_rows(probabilities, targets).tolist():
            row, given = probabilities[place], int(targets[place])
            likely = int(row.argmax())
            found.append(Suspect(place, given, likely, float(row[given]), float(row[likely])))
        return found
    found = []
    for number, (of_class, applies) in enumerate(zip(probabilities.T, targets.T, strict=True)):
        both = np.stack([1 - of_class, of_class], axis=1)
        for place in unlikely_rows(both, applies.astype(np.int64)).tolist():
            probability = float(both[place, int(applies[place])])
            found.append(Suspect(place, number, number, probability, 1 - probability))
    return sorted(found, key=lambda suspect: suspect.given_probability)
