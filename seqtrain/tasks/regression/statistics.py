"""Statistics of sequence regression: an example is a row."""

import numpy as np

from seqtrain.tasks.statistics import (
    Metric,
    Outputs,
    Spec,
    Statistic,
    TaskStatistics,
    mean_of,
)


def squared_error(outputs: Outputs, spec: Spec) -> Statistic:
    """Mean squared error."""
    return mean_of((outputs["predictions"] - outputs["targets"]) ** 2)


def absolute_error(outputs: Outputs, spec: Spec) -> Statistic:
    """Mean absolute error."""
    return mean_of(np.abs(outputs["predictions"] - outputs["targets"]))


STATISTICS = TaskStatistics("rows", {"mse": Metric(squared_error), "mae": Metric(absolute_error)})
