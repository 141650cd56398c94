"""Figures of a few windows: forecasts, true values and attention.

Shapes: B windows, L lookback, S horizon, C variables, P parameters of a forecast.
"""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.tasks.forecasting.baselines import last_value, seasonal_naive
from seqtrain.tasks.forecasting.distribution import Distribution
from seqtrain.tasks.forecasting.figures import attention_map_figure
from seqtrain.tasks.forecasting.head import ForecastHead
from seqtrain.tasks.forecasting.window_figure import Window, forecast_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_EXAMPLES = 4  # number of windows that are drawn


def draw_forecasts(
    distribution: Distribution,
    forecasts: Tensor,
    batch: ForecastBatch,
    times: list[list[str]],
    data: ForecastingData,
    split: str,
) -> dict[str, "Figure"]:
    """Figures of forecasts and true values of a few windows, in original units, each of a different variable.

    Args:
        distribution: the meaning of the parameters of forecasts.
        forecasts: forecasts of the windows, (B, S, C, P).
        batch: the windows.
        times: times of the L + S steps of each window.
        data: the series.
        split: name of the split of the windows.
    """
    assert batch.truth is not None
    names, lookback = data.spec.target_names, batch.inputs.shape[1]
    conformal = distribution.conformal
    level = distribution.own_level if conformal is None else conformal.level
    parts = [distribution.point(forecasts), *(distribution.interval(forecasts) or ())]
    points, *ends = (batch.in_units(part.cpu().double().numpy()) for part in parts)
    history = batch.in_units(batch.inputs[..., : len(names)].cpu().double().numpy())
    baselines, covariates = naive_forecasts(data, split, batch), covariates_of(data, batch)
    drawn = {}
    for i in range(len(batch.rows)):
        v = i * len(names) // NUM_EXAMPLES
        window = Window(
            history[i, :, v],
            batch.truth[i, :, v],
            points[i, :, v],
            times[i],
            (ends[0][i, :, v], ends[1][i, :, v]) if ends else None,
            level,
            {who: values[i, :, v] for who, values in baselines.items()},
            {name: values[i] for name, values in covariates.items()},
        )
        title = f"window {batch.rows[i]}, from {times[i][lookback]}"
        drawn[f"forecast/{i}"] = forecast_figure(window, title, names[v])
    return drawn


def naive_forecasts(data: ForecastingData, split: str, batch: ForecastBatch) -> dict[str, np.ndarray]:
    """Forecasts of the baselines that need no fitting, in original units, (B, S, C) each."""
    window, horizon = data.past(split, batch.rows), batch.targets.shape[1]
    forecasts = {"last value": last_value(window, horizon)}
    if 1 < data.season <= window.shape[1]:
        forecasts[f"seasonal naive ({data.season} steps)"] = seasonal_naive(window, horizon, data.season)
    return forecasts


def covariates_of(data: ForecastingData, batch: ForecastBatch) -> dict[str, np.ndarray]:
    """Scaled values of the numeric covariates, by name, NaN where they are not known beforehand, (B, L + S) each."""
    table = data.table
    C, P = table.num_targets, table.num_past
    past, future = batch.inputs.cpu().numpy(), batch.future.cpu().numpy()
    unknown = np.full(future.shape[:2], np.nan)
    return {
        table.names[d]: np.concatenate([past[..., d], unknown if d < C + P else future[..., d - C - P]], axis=1)
        for d in range(C, table.num_numeric)
    }


def draw_attention(
    names: list[str], model: nn.Module, head: ForecastHead, weights: dict[str, list[Tensor]], batch: ForecastBatch
) -> dict[str, "Figure"]:
    """Figures of the attention weights of a direct forecaster in the first window of a batch of validation.

    Args:
        names: names of the variables.
        model: the model.
        head: its head.
        weights: weights of each attention layer, from ``recorded_weights``.
        batch: the windows that were forecast.
    """
    drawn = {}
    for name, calls in weights.items():
        # Row 0 belongs to the window of forecast/0 and, if variables have rows of their own, to its variable.
        rows = np.atleast_2d(calls[0][0].float().cpu().numpy())
        if not hasattr(model, "num_segments"):  # then the queries are not steps of the horizon
            rows = rows.mean(0, keepdims=True)
        of = f"{names[0]}, " if head.independent else ""
        title = f"{of}window {batch.rows[0]}"
        drawn[f"attention/{name.removesuffix('.attention')}"] = attention_map_figure(rows, title)
    return drawn
