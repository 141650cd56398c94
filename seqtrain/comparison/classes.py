"""How configurations differ within the classes of the rows, by their stored predictions.

Shapes: N rows, C classes, G configurations.
"""

from dataclasses import dataclass

import numpy as np

from seqtrain.comparison.grouping import Group
from seqtrain.comparison.metrics import statistics_of
from seqtrain.comparison.report import Table
from seqtrain.errors import RunError
from seqtrain.tasks.group_differences import GroupDifferences, group_differences
from seqtrain.tasks.statistics import Floats


@dataclass(frozen=True)
class ClassTable:
    """The share of each class's rows that configurations have right."""

    names: list[str]
    """Of the classes, (C,)."""
    rows: np.ndarray
    """Number of rows of each class, (C,)."""
    groups: list[Group]
    """The configurations with usable predictions, the best first."""
    shares: Floats
    """Means over the runs of a configuration, (G, C)."""
    differences: list[GroupDifferences]
    """Between the first configuration and each other one."""


def class_table(table: Table) -> ClassTable | None:
    """The table of classes; None if the task has none, or fewer than two configurations have usable predictions."""
    find = statistics_of(table.groups[0].runs[0].task).right_of_class
    if find is None:
        return None
    classes: np.ndarray | None = None
    names: list[str] = []
    groups, right = [], []
    for group in table.groups:
        of_runs = []
        for run in group.runs:
            try:
                with run.predictions(table.split) as outputs:
                    own, of_rows, names = find(outputs, run.spec)
            except RunError:
                continue  # a note of the pairs says so
            if classes is None:
                classes = of_rows
            if np.array_equal(of_rows, classes):
                of_runs.append(own)
        if of_runs:
            groups.append(group)
            right.append(np.mean(of_runs, axis=0))
    if classes is None or len(groups) < 2:
        return None
    C = len(names)
    rows = np.bincount(classes, minlength=C)
    shares = np.stack([np.bincount(classes, weights=each, minlength=C) / np.maximum(rows, 1) for each in right])
    differences = [group_differences(right[0] - other, classes, C) for other in right[1:]]
    return ClassTable(names, rows, groups, shares, differences)
