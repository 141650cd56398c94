"""Figures of forecasting, drawn from arrays: forecasts and true values, errors by step and variable, attention.

Only Matplotlib's object interface is used, so that no global state changes. NaN leaves a gap.

Shapes: L steps before the forecast, S horizon steps, C variables.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.classification.figures import BAR_COLOUR, drawable, shorten, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORECAST_COLOUR = "#ff7f0e"
MAX_DOTS = 60
"""Largest number of points of a curve that is drawn with dots."""
MAX_TIMES = 5
MAX_VARIABLES = 40


def forecast_figure(
    history: NDArray[np.floating],
    truth: NDArray[np.floating],
    forecast: NDArray[np.floating],
    lower: NDArray[np.floating] | None,
    upper: NDArray[np.floating] | None,
    times: list[str],
    title: str,
    unit: str,
) -> "Figure":
    """One window of one variable, in original units: its past, the true future, and the forecast with its interval.

    Args:
        history: values that the forecast saw, (L,).
        truth: true values of the horizon, (S,).
        forecast: the forecast, (S,).
        lower: lower end of the interval, (S,), or None for no interval.
        upper: upper end, (S,), or None.
        times: times of all L + S steps, of which up to 5 are shown.
        title: title of the figure.
        unit: label of the values.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    steps = np.arange(1 - len(history), len(truth) + 1)
    future = steps[len(history) :]
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    if lower is not None and upper is not None:
        # The edge makes an interval visible at a single step, where there is no area to fill.
        axes.fill_between(
            future,
            lower,
            upper,
            facecolor=(FORECAST_COLOUR, 0.25),
            edgecolor=(FORECAST_COLOUR, 0.5),
            linewidth=1,
            label="forecast interval",
        )
    observed = np.concatenate([history, truth])
    axes.plot(steps, observed, curve_format(len(steps)), color=BAR_COLOUR, label="observed")
    axes.plot(future, forecast, curve_format(len(steps)), color=FORECAST_COLOUR, label="forecast")
    axes.axvline(0.5, linestyle="--", linewidth=1, color="black")
    axes.set_xlim(steps[0] - 0.5, steps[-1] + 0.5)
    axes.set_title(title, parse_math=False)
    axes.set_ylabel(unit, parse_math=False)
    every = math.ceil(len(steps) / MAX_TIMES)
    ticks = np.flatnonzero((steps - 1) % every == 0)  # the first step of the forecast among them
    axes.set_xticks(steps[ticks], [times[tick] for tick in ticks], parse_math=False)
    axes.legend()
    return figure


def error_by_step_figure(mse: NDArray[np.floating], baselines: dict[str, NDArray[np.floating]]) -> "Figure":
    """Mean squared error of each step of the horizon, of the model and, dashed, of baselines.

    Args:
        mse: errors of the model, in scaled units, (S,).
        baselines: errors of each baseline by name, (S,) each.

    Returns:
        The figure; its title gives the model's error at the first and at the last step.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    steps = np.arange(1, len(mse) + 1)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, mse, curve_format(len(steps)), color=BAR_COLOUR, label="model")
    for number, (name, errors) in enumerate(baselines.items(), start=1):
        axes.plot(steps, errors, curve_format(len(steps)) + "-", linewidth=1, color=f"C{number}", label=name)
    axes.set(xlabel="step of the horizon", ylabel="mean squared error, scaled")
    axes.set_title(f"model, first step {mse[0]:.3g}, last step {mse[-1]:.3g}")
    axes.set_xlim(0.5, len(mse) + 0.5)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.legend()
    return figure


def error_by_variable_figure(
    mse: NDArray[np.floating], names: list[str], baselines: dict[str, NDArray[np.floating]]
) -> "Figure":
    """Mean squared error of each variable, from the largest down: of the model as bars, of baselines as dots.

    Of more than 40 variables, those with the largest errors of the model are shown.

    Args:
        mse: errors of the model, in scaled units, (C,); variables with NaN are left out.
        names: names of the variables.
        baselines: errors of each baseline by name, (C,) each.

    Returns:
        The figure; its title gives the largest and the smallest error of the model.
    """
    from matplotlib.figure import Figure

    order = np.argsort(-mse)  # NaN last
    scored = order[: np.count_nonzero(~np.isnan(mse))]
    shown = scored[:MAX_VARIABLES]
    places = np.arange(len(shown))
    figure = Figure(figsize=(7, 2 + 0.25 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(places, mse[shown], height=0.7, color=BAR_COLOUR, label="model")
    for number, (name, errors) in enumerate(baselines.items(), start=1):
        axes.plot(errors[shown], places, "o", markersize=4, color=f"C{number}", label=name)
    axes.set_yticks(places, [drawable(shorten(visible(names[v]), 24)) for v in shown], parse_math=False)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("mean squared error, scaled")
    of = "" if len(shown) == len(scored) else f", the {len(shown)} largest of {len(scored)} variables"
    axes.set_title(f"model, from {mse[scored[0]]:.3g} to {mse[scored[-1]]:.3g}{of}")
    axes.legend()
    return figure


def attention_map_figure(weights: NDArray[np.floating], title: str) -> "Figure":
    """Heat map of the attention of each step of the horizon to each step of the lookback.

    Args:
        weights: attention weights, (S, L), not negative; or (1, L), for the forecast as a whole.
        title: title of the figure.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    S, L = weights.shape
    figure = Figure(figsize=(9, 4.5 if S > 1 else 2), layout="constrained")
    axes = figure.add_subplot()
    extent = (0.5 - L, 0.5, S + 0.5, 0.5)
    image = axes.imshow(weights, cmap="Blues", vmin=0, aspect="auto", extent=extent)
    figure.colorbar(image, label="weight")
    axes.set_title(title, parse_math=False)
    axes.set_xlabel("steps after the last value seen")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    if S > 1:
        axes.set_ylabel("step of the horizon")
    else:
        axes.set_yticks([])
    return figure


def curve_format(points: int) -> str:
    """Matplotlib format of a curve, with a dot at each point if there are few points."""
    return ".-" if points <= MAX_DOTS else "-"
