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
    about={
        "mse": (
            "Mean squared error in scaled units: less is better. 1 is what the mean of train scores on data like train."
        ),
        "mae": "Mean absolute error in scaled units: less is better.",
        "rmse": "Root of the mean squared error in scaled units: less is better.",
        "original_mse": "Mean squared error in the units of the data: less is better.",
        "original_mae": "Mean absolute error in the units of the data: less is better.",
        "original_rmse": "Root of the mean squared error in the units of the data: less is better.",
        "smape": "Absolute error relative to the mean of forecast and value: less is better. It misleads near zero.",
        "mase": "Mean absolute error divided by that of a naive forecast on train: below 1 is better than naive.",
        "rmsse": (
            "Root mean squared error divided by that of a naive forecast on train: below 1 is better than naive."
        ),
        "crps": "Score of the whole predicted distribution, in the units of the absolute error: less is better.",
        "coverage": (
            "Share of values within the forecast interval. It should be the share that the interval promises: less, "
            "and intervals are too narrow; try task.conformal."
        ),
        "conformal_coverage": (
            "Share of values within the conformal interval. It should be the share that it promises."
        ),
    },
)
