"""The figure of one window: what a forecast saw, what it says, what came, and what baselines and covariates say.

Only Matplotlib's object interface is used, so that no global state changes. NaN leaves a gap.

Shapes: L steps before the forecast, S horizon steps.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.drawing import BAR_COLOUR, SMALL, drawable, label, legend_above, new_figure, shorten, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = NDArray[np.floating]

FORECAST_COLOUR = "#ff7f0e"
BASELINE_COLOURS = ("#7f7f7f", "#2ca02c", "#9467bd")
MAX_DOTS = 60
"""Largest number of points of a curve that is drawn with dots."""
PAST_HORIZONS = 3
"""Length of the past that is shown, in horizons; a longer one would leave no room for the forecast."""
SHORTEST_PAST = 48
"""Number of steps of the past that are shown, if there are so many, however short the horizon is."""
MAX_TICKS = 6
MAX_COVARIATES = 4


@dataclass(frozen=True)
class Window:
    """One window of one variable, in original units."""

    history: Values
    """Values that the forecast saw, (L,)."""
    truth: Values
    """True values of the horizon, (S,)."""
    forecast: Values
    """The forecast, (S,)."""
    times: list[str]
    """Times of all L + S steps."""
    interval: tuple[Values, Values] | None = None
    """Lower and upper end of the forecast's interval, (S,) each; None for a point."""
    level: float | None = None
    """Share of values that the interval should contain."""
    baselines: Mapping[str, Values] = field(default_factory=dict)
    """Forecasts of simple methods by name, (S,) each."""
    covariates: Mapping[str, Values] = field(default_factory=dict)
    """Scaled values of other variables by name, NaN where they are not known beforehand, (L + S,) each."""


def forecast_figure(window: Window, title: str, unit: str) -> "Figure":
    """A window: its past, the true future, the forecast with its interval and baselines; covariates below.

    The past is cut to three horizons, but not below 48 steps. The axis of values shows what was observed and the
    forecast. Intervals and baselines that are far away are cut off, so that they do not flatten the rest. At most four
    covariates are drawn.

    Args:
        window: the window.
        title: title of the figure.
        unit: label of the values.

    Returns:
        The figure.
    """
    L, S = len(window.history), len(window.truth)
    shown = min(L, max(PAST_HORIZONS * S, SHORTEST_PAST))
    steps = np.arange(1 - shown, S + 1)
    future, style = steps[shown:], curve_format(len(steps))
    observed = np.concatenate([window.history[-shown:], window.truth])
    covariates = list(window.covariates.items())[:MAX_COVARIATES]
    heights = [3, 1] if covariates else [3]
    figure = new_figure(1.2 + 1.2 * sum(heights))
    main, *below = figure.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    if window.interval is not None:
        # The edge makes an interval visible at a single step, where there is no area to fill.
        main.fill_between(
            future,
            *window.interval,
            facecolor=(FORECAST_COLOUR, 0.25),
            edgecolor=(FORECAST_COLOUR, 0.5),
            linewidth=1,
            label="interval" if window.level is None else f"interval of {window.level:.0%}",
        )
    for (name, values), colour in zip(window.baselines.items(), BASELINE_COLOURS, strict=False):
        main.plot(future, values, "--", linewidth=1.2, color=colour, label=name)
    main.plot(steps, observed, style, color=BAR_COLOUR, label="observed")
    main.plot(future, window.forecast, style, linewidth=2, color=FORECAST_COLOUR, label="forecast")
    label(main, title, y=unit)
    beyond = [*(window.interval or ()), *window.baselines.values()]
    if (limits := value_limits(np.concatenate([observed, window.forecast]), beyond)) is not None:
        main.set_ylim(*limits)
    for axes in (main, *below):
        axes.axvline(0.5, linestyle="--", linewidth=1, color="black")
        axes.set_xlim(steps[0] - 0.5, steps[-1] + 0.5)
    for axes in below:
        for name, values in covariates:
            axes.plot(steps, values[L - shown :], linewidth=1.2, label=drawable(shorten(visible(name), 16)))
        label(axes, y="scaled")
        legend_above(axes)
    last = (main, *below)[-1]
    places, texts, name = time_ticks(window.times[L - shown :])
    last.set_xticks(places + steps[0], texts, parse_math=False, fontsize=SMALL)
    last.set_xlabel(name, fontsize=SMALL)
    figure.legend(*main.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=SMALL)
    return figure


def value_limits(inside: Values, others: list[Values]) -> tuple[float, float] | None:
    """Ends of an axis that shows some values whole, and of others what is not farther away than these span.

    Args:
        inside: values to show, (N,).
        others: values of which some may be cut off.

    Returns:
        The ends, with a margin; None if there is no value to show.
    """
    inside = inside[np.isfinite(inside)]
    if not len(inside):
        return None
    low, high = float(inside.min()), float(inside.max())
    span = high - low
    near = np.concatenate([np.clip(each[np.isfinite(each)], low - span, high + span) for each in [inside, *others]])
    low, high = float(near.min()), float(near.max())
    margin = 0.05 * (high - low) or 0.05 * abs(low) or 1.0
    return low - margin, high + margin


def time_ticks(times: list[str]) -> tuple[Values, list[str], str]:
    """Places of round times among steps, counted from 0, what to write there, and what all of them have in common.

    Args:
        times: times of neighbouring steps, dates or whole numbers, as ``time_text`` writes them.

    Returns:
        Places, which may be between steps; a text for each; and the common part, empty for numbers.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num, num2date
    from matplotlib.ticker import MaxNLocator

    dates = "-" in times[0][1:]
    numbers = date2num(np.array(times, "datetime64[ns]")) if dates else np.array(times, float)
    first, last = numbers[0], numbers[-1]
    if first == last or (np.diff(numbers) < 0).any():  # with data.frequency=step times need not rise
        chosen = range(0, len(times), math.ceil(len(times) / MAX_TICKS))
        return np.array(chosen, float), [times[place] for place in chosen], ""
    locator: Any
    if dates:
        locator = AutoDateLocator(minticks=3, maxticks=MAX_TICKS)
        ticks = np.array(locator.tick_values(num2date(first), num2date(last)))
    else:
        locator = MaxNLocator(MAX_TICKS, integer=True, steps=[1, 2, 5, 10])
        ticks = locator.tick_values(first, last)
    ticks = ticks[(ticks >= first) & (ticks <= last)]
    places = np.interp(ticks, numbers, np.arange(len(times)))
    if not dates:
        return places, [f"{tick:.0f}" for tick in ticks], ""
    formatter = ConciseDateFormatter(locator)
    return places, formatter.format_ticks(ticks), formatter.get_offset()


def curve_format(points: int) -> str:
    """Matplotlib format of a curve, with a dot at each point if there are few points."""
    return ".-" if points <= MAX_DOTS else "-"
