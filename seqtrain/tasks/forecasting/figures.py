"""Figures of forecasting, drawn from arrays: errors by step and variable, and attention.

Only Matplotlib's object interface is used, so that no global state changes. NaN leaves a gap.

Shapes: L steps of lookback, S horizon steps, C variables.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.drawing import BAR_COLOUR, SMALL, TYPE, drawable, label, legend_above, new_figure, shorten, visible
from seqtrain.tasks.forecasting.window_figure import curve_format

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = NDArray[np.floating]

MAX_VARIABLES = 40
FLATTENING = 6.0
"""How many times as high as the lowest curve the highest may be on a linear axis."""
COVERAGE_COLOURS = ("#ff7f0e", "#2ca02c")


def error_by_step_figure(
    mse: Values, baselines: Mapping[str, Values], coverage: Mapping[str, tuple[Values, float]] | None = None
) -> "Figure":
    """Mean squared error of each step of the horizon, of the model and, dashed, of baselines.

    The axis is logarithmic where one curve is so high that it would flatten the rest. Below, the share of values within
    the forecast's interval, beside the share that it promises.

    Args:
        mse: errors of the model, in scaled units, (S,).
        baselines: errors of each baseline by name, (S,) each.
        coverage: share of values within each kind of interval, (S,), and the share that should be, by name.

    Returns:
        The figure; its title gives the model's error at the first and at the last step.
    """
    from matplotlib.ticker import MaxNLocator

    steps, style = np.arange(1, len(mse) + 1), curve_format(len(mse))
    heights = [3, 1] if coverage else [3]
    figure = new_figure(1.8 + 1.2 * sum(heights))
    axes, *below = figure.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    axes.plot(steps, mse, style, linewidth=2, color=BAR_COLOUR, label="model")
    for number, (name, errors) in enumerate(baselines.items(), start=1):
        axes.plot(steps, errors, style + "-", linewidth=1.2, color=f"C{number}", label=name)
    label(axes, f"model: first step {mse[0]:.3g}, last step {mse[-1]:.3g}", y="mean squared error, scaled")
    axes.set_xlim(0.5, len(mse) + 0.5)
    if flattens([mse, *baselines.values()]):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    for lower in below:
        for (name, (shares, level)), colour in zip((coverage or {}).items(), COVERAGE_COLOURS, strict=False):
            kind = name.removesuffix("coverage").replace("_", " ")
            lower.plot(steps, shares, style, color=colour, label=f"{kind}interval, should be {level:.0%}")
            lower.axhline(level, linestyle="--", linewidth=1, color=colour)
        label(lower, y="coverage")
        lower.set_ylim(0, 1.05)
        legend_above(lower)
    last = (axes, *below)[-1]
    last.set_xlabel("step of the horizon", fontsize=TYPE)
    last.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=SMALL)
    return figure


def error_by_variable_figure(mse: Values, names: list[str], baselines: Mapping[str, Values]) -> "Figure":
    """Mean squared error of each variable, from the largest down: of the model as bars, of baselines as dots.

    Of more than 40 variables, those with the largest errors of the model are shown. The axis is logarithmic where one
    error is so large that it would flatten the rest.

    Args:
        mse: errors of the model, in scaled units, (C,); variables with NaN are left out.
        names: names of the variables.
        baselines: errors of each baseline by name, (C,) each.

    Returns:
        The figure; its title gives the largest and the smallest error of the model.
    """
    order = np.argsort(-mse)  # NaN last
    scored = order[: np.count_nonzero(~np.isnan(mse))]
    shown = scored[:MAX_VARIABLES]
    places = np.arange(len(shown))
    figure = new_figure(2.6 + 0.3 * len(shown))
    axes = figure.add_subplot()
    axes.barh(places, mse[shown], height=0.7, color=BAR_COLOUR, label="model")
    for number, (name, errors) in enumerate(baselines.items(), start=1):
        axes.plot(errors[shown], places, "o", markersize=7, color=f"C{number}", label=name)
    of = "" if len(shown) == len(scored) else f", the {len(shown)} largest of {len(scored)} variables"
    label(axes, f"model: from {mse[scored[0]]:.3g} to {mse[scored[-1]]:.3g}{of}", "mean squared error, scaled")
    texts = [drawable(shorten(visible(names[v]), 20)) for v in shown]
    axes.set_yticks(places, texts, parse_math=False, fontsize=SMALL)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    if flattens([mse[shown], *(errors[shown] for errors in baselines.values())]):
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
    figure.legend(loc="outside lower center", ncols=2, fontsize=SMALL)
    return figure


def flattens(curves: list[Values]) -> bool:
    """Whether the largest of all values would flatten one of the curves on a linear axis, and a log axis can hold all.

    A log axis has no place for 0, which a perfect forecast scores.
    """
    finite = [values[np.isfinite(values)] for values in curves]
    tops = [float(values.max()) for values in finite if len(values)]
    positive = all((values > 0).all() for values in finite)
    return bool(tops) and positive and max(tops) > FLATTENING * min(tops)


def attention_map_figure(weights: NDArray[np.floating], title: str) -> "Figure":
    """Heat map of the attention of each step of the horizon to each step of the lookback.

    Args:
        weights: attention weights, (S, L), not negative; or (1, L), for the forecast as a whole.
        title: title of the figure.

    Returns:
        The figure.
    """
    from matplotlib.ticker import MaxNLocator

    S, L = weights.shape
    figure = new_figure(4.8 if S > 1 else 2.6)
    axes = figure.add_subplot()
    extent = (0.5 - L, 0.5, S + 0.5, 0.5)
    image = axes.imshow(weights, cmap="Blues", vmin=0, aspect="auto", extent=extent)
    figure.colorbar(image).set_label("weight", size=SMALL)
    label(axes, title, "steps after the last value seen", "step of the horizon" if S > 1 else "")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    if S == 1:
        axes.set_yticks([])
    return figure
