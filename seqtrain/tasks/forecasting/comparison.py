"""Scores of the baselines of forecasting, and figures that compare them with the model.

Shapes: L lookback, S horizon, C variables.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from seqtrain.data.series.dataset import ForecastBatch, ForecastingData
from seqtrain.tasks.base import Evaluation
from seqtrain.tasks.forecasting.baselines import RidgeWindows, last_value, seasonal_naive, window_mean
from seqtrain.tasks.forecasting.meter import add_errors, empty_sums, error_details, error_sums, window_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)


def score_baselines(data: ForecastingData, monitor: str) -> dict[str, dict[str, Evaluation]]:
    """Scores of the last value, the seasonal naive forecast, the mean of the window and a linear map fitted on train.

    Args:
        data: the series.
        monitor: metric that chooses the checkpoint of the model; ``crps`` is added only if it is this metric.

    Returns:
        Method -> split -> scores, for every split but train.
    """
    spec, names = data.spec, data.spec.target_names
    assert spec.lookback is not None and spec.horizon is not None and spec.num_targets is not None
    season, horizon, C = spec.season, spec.horizon, spec.num_targets
    methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "last value": lambda x: last_value(x, horizon),
        "mean of the window": lambda x: window_mean(x, horizon),
    }
    seasonal, longer = f"seasonal naive ({season} steps)", season > spec.lookback
    if longer and not all(data.has_past(split, season) for split in data.sizes if split != "train"):
        log.info("%s is left out: a window has fewer steps of its series before it", seasonal)
    else:
        methods[seasonal] = lambda x: seasonal_naive(x, horizon, season)
    if "train" in data.sizes:
        linear = fitted_linear(data, spec.lookback, horizon, C)
        if linear is not None:
            methods["linear"] = linear.forecast
    scored: dict[str, dict[str, Evaluation]] = {who: {} for who in methods}
    for split in data.sizes:
        if split != "train":
            sums = {who: empty_sums(spec) for who in methods}
            errors: dict[str, list[np.ndarray]] = {who: [] for who in methods}
            for batch in data.eval_batches(split):
                window = batch.inputs[:, :, :C].numpy()
                for who, forecast in methods.items():
                    # A season that is longer than the lookback is read from the series.
                    forecasts = forecast(data.past(split, batch.rows, season) if longer and who == seasonal else window)
                    add_errors(sums[who], forecasts, batch)
                    if split == "test":
                        errors[who].append(window_errors(torch.from_numpy(forecasts), cast(ForecastBatch, batch)))
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


def fitted_linear(data: ForecastingData, lookback: int, horizon: int, num_variables: int) -> RidgeWindows | None:
    """The linear baseline, fitted on the windows of train without a missing target; None where there are none."""
    linear = RidgeWindows(lookback, horizon)
    for batch in data.eval_batches("train"):
        window, targets = batch.inputs[:, :, :num_variables].numpy(), batch.targets.numpy()
        observed = cast(ForecastBatch, batch).observed
        if observed is not None:
            # Variables are independent, so that windows of a single variable can be left out.
            whole = observed.numpy().all(1)
            window, targets = (np.moveaxis(part, 1, 2)[whole][:, :, None] for part in (window, targets))
        linear.update(window, targets)
    if not linear.num_windows:
        return None
    linear.solve()
    return linear


def error_figures(evaluation: Evaluation, baselines: Mapping[str, Evaluation], names: list[str]) -> dict[str, "Figure"]:
    """Figures of errors by step of the horizon and, for several variables, by variable.

    Args:
        evaluation: evaluation of the model.
        baselines: evaluation of each baseline on the same split, by name.
        names: names of the variables.
    """
    from seqtrain.tasks.forecasting.figures import error_by_step_figure, error_by_variable_figure

    others = {tag: {who: scored.sums[tag] for who, scored in baselines.items()} for tag in evaluation.sums}
    figures = {"error_by_step": error_by_step_figure(evaluation.sums["mse_by_step"], others["mse_by_step"])}
    if len(names) > 1:
        errors = evaluation.sums["mse_by_variable"]
        figures["error_by_variable"] = error_by_variable_figure(errors, names, others["mse_by_variable"])
    return figures
