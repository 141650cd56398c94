"""Figures of the page on a forecaster's errors.

Shapes: N windows, L lookback, S horizon, C variables.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.series.times import time_text
from seqtrain.data.series.windows import cut
from seqtrain.pages.svg import GREY, above, canvas, colour
from seqtrain.tasks.forecasting.errors import Forecaster
from seqtrain.tasks.statistics import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_HISTORY = 3
"""Of the lookback, so many horizons are drawn, and at least ``LEAST_HISTORY`` steps."""
LEAST_HISTORY = 24


def window_figure(
    runs: Sequence[Forecaster],
    data: ForecastingData,
    split: str,
    number: int,
    variable: int,
) -> "Figure":
    """One variable of a window: the end of its lookback, the truth, and the forecasts.

    Where forecasts have intervals, that of the first run is drawn.
    """
    batch = data.batch(split, np.array([number]))
    L, S = data.config.lookback, data.config.horizon
    shown = min(L, max(MOST_HISTORY * S, LEAST_HISTORY))
    assert batch.truth is not None
    past = data.past(split, np.array([number]), L)[0, L - shown :, variable]
    steps = np.arange(1 - shown, S + 1)
    figure, axes = canvas(2.6)
    observed = np.concatenate([past, batch.truth[0, :, variable]])
    axes.plot(steps, observed, color=GREY, linewidth=1.5, label="observed")
    for place, run in enumerate(runs):
        forecast = torch.from_numpy(run.forecasts[[number]])
        point = batch.in_units(run.distribution.point(forecast).double().numpy())[0, :, variable]
        axes.plot(steps[shown:], point, color=colour(place), linewidth=1.5, label=run.label)
        interval = run.distribution.interval(forecast) if place == 0 else None
        if interval is not None:
            low, high = (batch.in_units(end.double().numpy())[0, :, variable] for end in interval)
            axes.fill_between(steps[shown:], low, high, color=colour(place), alpha=0.2, linewidth=0)
    axes.axvline(0.5, linestyle="--", linewidth=1, color="#000000")
    first = int(data.windows[split].locate(np.array([number]))[1][0])
    times = cut(data.table.times[:, None], np.array([first - shown]), shown + S)[0, :, 0]
    ticks = [0, shown, shown + S - 1] if S > 1 else [0, shown]
    axes.set_xticks(steps[ticks], [short_time(times[tick]) for tick in ticks], parse_math=False, fontsize=8)
    above(axes)
    return figure


def short_time(time: np.datetime64 | np.integer) -> str:
    """A time for an axis, its clock below its date."""
    return time_text(time).replace(" ", "\n", 1).replace("T", "\n", 1)


def curve_figure(curves: Sequence[Floats], labels: Sequence[str], ticks: Sequence[str], axis: str) -> "Figure":
    """Mean squared errors as curves from 0 on."""
    figure, axes = canvas(2.8)
    places = np.arange(len(ticks))
    for place, (values, label) in enumerate(zip(curves, labels, strict=True)):
        marker = "." if len(places) <= 30 else ""
        axes.plot(places, values, color=colour(place), linewidth=1.5, marker=marker, label=label)
    shown = np.unique(np.linspace(0, len(ticks) - 1, min(len(ticks), 5)).astype(int))
    axes.set_xticks(shown, [ticks[i] for i in shown], fontsize=8)
    axes.set_ylim(bottom=0)
    axes.set(xlabel=axis, ylabel="mean squared error")
    if len(curves) > 1:
        above(axes)
    return figure
