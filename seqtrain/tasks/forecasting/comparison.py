"""Scores of the baselines of forecasting, and figures that compare them with the model.

Shapes: B windows, L lookback, S horizon, C variables.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.tasks.base import Evaluation
from seqtrain.tasks.forecasting.baselines import RidgeWindows, last_value, seasonal_naive, window_mean
from seqtrain.tasks.forecasting.meter import add_errors, empty_sums, error_details, error_sums

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

Method = Callable[[np.ndarray, ForecastBatch], np.ndarray]
"""Maps windows (B, L, C) in original units, and their batch, to forecasts (B, S, C) in original units."""


def score_baselines(data: ForecastingData, monitor: str) -> dict[str, dict[str, Evaluation]]:
    """Scores of the last value, the seasonal naive forecast, the mean of the window and a linear map fitted on train.

    Args:
        data: the series.
        monitor: metric that chooses the checkpoint of the model; ``crps`` is added only if it is this metric.

    Returns:
        Method -> split -> scores, for every split but train.
    """
    spec, names = data.spec, data.spec.target_names
    assert spec.lookback is not None and spec.horizon is not None
    season, horizon = data.season, spec.horizon
    methods: dict[str, Method] = {
        "last value": lambda x, _: last_value(x, horizon),
        "mean of the window": lambda x, _: window_mean(x, horizon),
    }
    seasonal, longer = f"seasonal naive ({season} steps)", season > spec.lookback
    if longer and not all(data.has_past(split, season) for split in data.sizes if split != "train"):
        log.info("%s is left out: a window has fewer steps of its series before it", seasonal)
    else:
        methods[seasonal] = lambda x, _: seasonal_naive(x, horizon, season)
    if "train" in data.sizes:
        linear = fitted_linear(data, spec.lookback, horizon)
        if linear is not None:
            methods["linear"] = lambda x, batch: batch.in_units(linear.forecast(scaled(x, batch)))
    scored: dict[str, dict[str, Evaluation]] = {who: {} for who in methods}
    for split in data.sizes:
        if split != "train":
            sums = {who: empty_sums(spec) for who in methods}
            errors: dict[str, list[np.ndarray]] = {who: [] for who in methods}
            for batch in cast(Iterator[ForecastBatch], data.eval_batches(split)):
                window = data.past(split, batch.rows)
                for who, forecast in methods.items():
                    # A season that is longer than the lookback is read from the series.
                    seen = data.past(split, batch.rows, season) if longer and who == seasonal else window
                    of_batch = add_errors(sums[who], forecast(seen, batch), batch)
                    if split == "test":
                        errors[who].append(of_batch)
            for who in methods:
                metrics = sums[who].metrics()
                if monitor == "crps":
                    metrics["crps"] = metrics["mae"]  # of a point, the two are one
                details = error_details(sums[who], names)
                outputs = error_outputs(errors[who]) if split == "test" else {}
                scored[who][split] = Evaluation(metrics, outputs, error_sums(sums[who]), details)
    return scored


def error_outputs(errors: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Errors of each window by their names among a forecaster's outputs; of points, crps is the absolute error."""
    squared, absolute, observed = np.concatenate(errors, axis=1)
    return {"squared_errors": squared, "absolute_errors": absolute, "observed": observed, "crps": absolute}


def scaled(values: np.ndarray, batch: ForecastBatch) -> np.ndarray:
    """Windows (B, T, C) in original units, scaled as those of the batch, in float64."""
    return (values - batch.centre[:, None]) / batch.scale[:, None]


def fitted_linear(data: ForecastingData, lookback: int, horizon: int) -> RidgeWindows | None:
    """The linear baseline, fitted on the scaled windows of train without a missing target; None if there are none."""
    linear = RidgeWindows(lookback, horizon)
    for batch in cast(Iterator[ForecastBatch], data.eval_batches("train")):
        window, targets = scaled(data.past("train", batch.rows), batch), batch.scaled_truth()
        if batch.observed is not None:
            # Variables are independent, so that windows of a single variable can be left out.
            whole = batch.observed.numpy().all(1)
            window, targets = (np.moveaxis(part, 1, 2)[whole][:, :, None] for part in (window, targets))
        linear.update(window, targets)
    if not linear.num_windows:
        return None
    linear.solve()
    return linear


def error_figures(
    evaluation: Evaluation, baselines: Mapping[str, Evaluation], names: list[str], levels: Mapping[str, float]
) -> dict[str, "Figure"]:
    """Figures of errors by step of the horizon and, for several variables, by variable.

    Args:
        evaluation: evaluation of the model.
        baselines: evaluation of each baseline on the same split, by name.
        names: names of the variables.
        levels: share of values that each kind of interval should contain, by the name of its coverage.
    """
    from seqtrain.tasks.forecasting.figures import error_by_step_figure, error_by_variable_figure

    others = {tag: {who: scored.sums[tag] for who, scored in baselines.items()} for tag in evaluation.sums}
    by_step = evaluation.details["by_step"]
    coverage = {name: (np.array(by_step[name], float), level) for name, level in levels.items() if name in by_step}
    errors = evaluation.sums["mse_by_step"]
    figures = {"error_by_step": error_by_step_figure(errors, others["mse_by_step"], coverage)}
    if len(names) > 1:
        errors = evaluation.sums["mse_by_variable"]
        figures["error_by_variable"] = error_by_variable_figure(errors, names, others["mse_by_variable"])
    return figures
