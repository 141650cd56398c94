"""Statistics of forecasting: an example is a window, with sums over its steps and variables."""

from collections.abc import Callable

import numpy as np

from seqtrain.tasks.statistics import (
    Metric,
    Options,
    Outputs,
    Spec,
    Statistic,
    TaskStatistics,
    quotient,
    ratio,
)


def window_mean(name: str) -> Callable[[Outputs, Spec], Statistic]:
    """Statistic that is the mean of an output over the observed values of all windows."""
    return lambda outputs, spec: ratio(outputs[name], outputs["observed"])


def window_rmse(outputs: Outputs, spec: Spec) -> Statistic:
    """Root mean squared error."""
    terms = window_mean("squared_errors")(outputs, spec).terms
    return Statistic(terms, lambda means: np.sqrt(quotient(means[..., 0], means[..., 1])))


def season(spec: Spec, options: Options) -> dict[str, str]:
    """Steps of the season, on which the scale of mase and rmsse depends."""
    return {"season": str(spec.get("season"))}


STATISTICS = TaskStatistics(
    "windows",
    {
        "mse": Metric(window_mean("squared_errors")),
        "mae": Metric(window_mean("absolute_errors")),
        "rmse": Metric(window_rmse),
        "crps": Metric(window_mean("crps")),
        "coverage": Metric(maximize=None),
        "conformal_coverage": Metric(maximize=None),
    },
    ordered=True,
    must_agree=season,
)
