"""Figures of a few windows: forecasts, true values and attention.

Shapes: B windows, S horizon, C variables, P parameters of a forecast.
"""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from seqtrain.data.series.batch import ForecastBatch
from seqtrain.tasks.forecasting.distribution import Distribution
from seqtrain.tasks.forecasting.figures import attention_map_figure, forecast_figure
from seqtrain.tasks.forecasting.head import ForecastHead

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_EXAMPLES = 4  # number of windows that are drawn


def draw_forecasts(
    distribution: Distribution,
    names: list[str],
    forecasts: Tensor,
    batch: ForecastBatch,
    times: list[list[str]],
    split: str,
) -> dict[str, "Figure"]:
    """Figures of forecasts and true values of a few windows, in original units, each of a different variable.

    Args:
        distribution: the meaning of the parameters of forecasts.
        names: names of the variables.
        forecasts: forecasts of the windows, (B, S, C, P).
        batch: the windows.
        times: times of the L + S steps of each window.
        split: name of the split of the windows.
    """
    assert batch.truth is not None
    interval = distribution.interval(forecasts)
    conformal = distribution.conformal
    level = "" if conformal is None else f", conformal interval of level {conformal.level:g}"
    drawn = {}
    for i in range(len(batch.rows)):
        v = i * len(names) // NUM_EXAMPLES
        curves = [
            batch.inputs[i, :, v],
            *(part[i, :, v] for part in (distribution.point(forecasts), *(interval or ()))),
        ]
        history, point, *ends = (
            curve.cpu().double().numpy() * batch.scale[i, v] + batch.centre[i, v] for curve in curves
        )
        title = f"{names[v]}, window {batch.rows[i]} of {split}{level}"
        lower, upper = ends if ends else (None, None)
        truth = batch.truth[i, :, v]
        drawn[f"forecast/{i}"] = forecast_figure(history, truth, point, lower, upper, times[i], title, names[v])
    return drawn


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
        title = f"{of}window {batch.rows[0]} of validation"
        drawn[f"attention/{name.removesuffix('.attention')}"] = attention_map_figure(rows, title)
    return drawn
