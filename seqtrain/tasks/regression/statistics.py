"""Statistics of sequence regression: an example is a row."""

import numpy as np

from seqtrain.tasks.statistics import (
    Metric,
    Outputs,
    Spec,
    Statistic,
    TaskStatistics,
    mean_of,
    paired,
)


def squared_error(outputs: Outputs, spec: Spec) -> Statistic:
    """Mean squared error."""
    predictions, targets = paired(outputs)
    return mean_of((predictions - targets) ** 2)


def absolute_error(outputs: Outputs, spec: Spec) -> Statistic:
    """Mean absolute error."""
    predictions, targets = paired(outputs)
    return mean_of(np.abs(predictions - targets))


STATISTICS = TaskStatistics("rows", {"mse": Metric(squared_error), "mae": Metric(absolute_error)})
