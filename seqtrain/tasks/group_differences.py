"""Differences between two models on the same rows, within groups of rows. Imports no torch.

Shapes: N rows, G groups of rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.statistics import Floats

Z = 1.959963984540054
"""Of a 95 % interval."""


@dataclass(frozen=True)
class GroupDifferences:
    """The mean of a difference in each group of rows, with a 95 % interval."""

    value: Floats
    """(G,)."""
    lower: Floats
    upper: Floats

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Whether the interval excludes 0."""
        return (self.lower > 0) | (self.upper < 0)


def group_differences(differences: Floats, groups: NDArray[np.integer], count: int) -> GroupDifferences:
    """Means over groups of rows, with intervals for paired shares.

    A row's difference is 1 where only the first of two models is right, -1 where only the second is. Two rows are added
    to each group, half a row for each of the four cases, so that intervals of small groups are not too narrow.

    Args:
        differences: difference of each row, in [-1, 1], (N,).
        groups: number of each row's group, (N,).
        count: G.

    Source: Agresti and Min 2005, "Simple improved confidence intervals for comparing matched proportions".
    """
    rows = np.bincount(groups, minlength=count)
    sums = np.bincount(groups, weights=differences, minlength=count)
    squares = np.bincount(groups, weights=differences**2, minlength=count) + 1
    n = rows + 2.0
    half = Z * np.sqrt(np.maximum(squares - sums**2 / n, 0)) / n
    return GroupDifferences(sums / np.maximum(rows, 1), sums / n - half, sums / n + half)
