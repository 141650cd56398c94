"""The errors of a forecaster as sections of a page.

Shapes: N windows, S horizon, C variables.
"""

from collections.abc import Sequence
from html import escape
from typing import cast

import numpy as np
from numpy.typing import NDArray

from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.series.times import time_text
from seqtrain.pages.html import Html, bar, details, html_table
from seqtrain.pages.svg import draw
from seqtrain.tasks.forecasting.errors import (
    Forecaster,
    grouped,
    means,
    periods,
    squared_errors,
    times_of_day,
    weekdays,
    worst_windows,
)
from seqtrain.tasks.forecasting.page_figures import curve_figure, window_figure
from seqtrain.tasks.forecasting.task import Forecasting
from seqtrain.tasks.inspecting.material import Material, Section, sentences, soft
from seqtrain.tasks.inspecting.rates import percent
from seqtrain.tasks.statistics import Floats, quotient

WINDOWS = 6
"""Windows that are drawn."""
LINES = 20
"""Of a table of series, variables or times, the worst."""
LEAST_POINTS = 3
"""A curve has at least so many."""
UNITS = "Errors are squared, in scaled units, as the score mse is."


def inspect(material: Material) -> list[Section]:
    """The sections of the page, in order."""
    if not isinstance(material.data, ForecastingData):
        return [Section("In short", [sentences(of_windows(material))])]
    data, rival = material.data, material.rival
    named = [(material.label, material.task, material.outputs)]
    named += [] if rival is None else [(rival.label, rival.task, rival.outputs)]
    runs = [
        Forecaster.of(label, cast(Forecasting, task).distribution, outputs, data, material.split)
        for label, task, outputs in named
    ]
    sections = [Section("In short", [sentences(summary(runs, data, material.split)), soft(UNITS)])]
    sections.append(worst(runs, data, material.split))
    sections.append(by_step(runs))
    sections += by_time(runs, data)
    for heading, names, sums in (
        ("Error by series", data.table.ids, [run.sums.by_series for run in runs]),
        ("Error by variable", data.spec.target_names, [run.sums.by_variable for run in runs]),
    ):
        if len(names) > 1:
            sections.append(Section(heading, [group_table(heading.split()[-1], names, sums, runs, worst_first=True)]))
    return sections


def of_windows(material: Material) -> list[str]:
    """What the stored errors of windows tell without the series."""
    errors = quotient(
        material.outputs["squared_errors"].astype(np.float64), material.outputs["observed"].astype(np.float64)
    )
    order = np.argsort(-errors, kind="stable")[:WINDOWS]
    rows = ", ".join(f"{int(material.outputs['rows'][i]):,} ({errors[i]:.3g})" for i in order)
    return [
        concentration(material.outputs["squared_errors"]),
        f"The windows with the largest mean squared error, by the first row of the source that they predict: {rows}.",
    ]


def concentration(squares: NDArray[np.floating]) -> str:
    """How few windows make up half of the error."""
    ordered = np.sort(squares.astype(np.float64))[::-1]
    half = int(np.searchsorted(np.cumsum(ordered), ordered.sum() / 2)) + 1
    return f"Half of the squared error is in {half:,} of {len(ordered):,} windows ({percent(half / len(ordered))})."


def summary(runs: Sequence[Forecaster], data: ForecastingData, split: str) -> list[str]:
    """The page in a few sentences."""
    first = runs[0]
    steps, count = means(first.sums.by_step), len(first.sums.by_window[0])
    lines = [
        f"{count:,} windows of {split}, mse {first.mse:.4g}: {steps[0]:.4g} at the first step of the horizon and "
        f"{steps[-1]:.4g} at the last.",
        concentration(first.sums.by_window[0]),
    ]
    for what, names, sums in (
        ("variable", data.spec.target_names, first.sums.by_variable),
        ("series", data.table.ids, first.sums.by_series),
    ):
        if len(names) > 1:
            values = means(sums)
            high, low = int(np.nanargmax(values)), int(np.nanargmin(values))
            lines.append(
                f"The {what} with the largest error is {names[high]} ({values[high]:.4g}), the one with the smallest "
                f"{names[low]} ({values[low]:.4g})."
            )
    used = np.flatnonzero(first.sums.by_row[1])
    if data.table.times.dtype.kind == "M" and (found := times_of_day(data.table.times[used])) is not None:
        values = means(grouped(first.sums.by_row[:, used], found[0], len(found[1])))
        high, low = int(np.nanargmax(values)), int(np.nanargmin(values))
        lines.append(
            f"By hour of the time forecast, the error is the largest at {found[1][high]} ({values[high]:.4g}) and the "
            f"smallest at {found[1][low]} ({values[low]:.4g})."
        )
    for other in runs[1:]:
        errors, others = means(first.sums.by_window), means(other.sums.by_window)
        lines.append(
            f"{other.label} has mse {other.mse:.4g}; {first.label} has the smaller error in "
            f"{percent(float((errors < others).mean()))} of the windows."
        )
    return lines


def worst(runs: Sequence[Forecaster], data: ForecastingData, split: str) -> Section:
    """The windows with the largest error, each drawn by the variable with the largest error in it."""
    first = runs[0]
    numbers = np.arange(len(first.sums.by_window[0]))
    series, begins = data.windows[split].locate(numbers)
    errors = means(first.sums.by_window)
    chosen = worst_windows(errors, series, begins, data.config.horizon, WINDOWS)
    figures = []
    for number in chosen:
        squares, known = squared_errors(first.forecasts[[number]], first.distribution, data, split, np.array([number]))
        variable = int(means(np.stack([squares[0].sum(0), known[0].sum(0)])).argmax())
        svg = draw(window_figure, runs, data, split, number, variable)
        name = data.spec.target_names[variable]
        of = f" of series {data.table.ids[series[number]]}" if len(data.table.ids) > 1 else ""
        when = time_text(data.table.times[begins[number]])
        words = f"{name}{of} from {when}: mse of the window {errors[number]:.4g}"
        figures.append(f"<figure>{svg}<figcaption>{escape(words)}</figcaption></figure>")
    remark = soft(
        "The windows with the largest error, at least a horizon apart, each by its variable with the largest error, in "
        "original units. Forecasts begin at the line."
    )
    return Section("Worst windows", [remark, f'<div class="figures">{"".join(figures)}</div>'])


def by_step(runs: Sequence[Forecaster]) -> Section:
    """The error at each step of the horizon."""
    curves = [means(run.sums.by_step) for run in runs]
    S = len(curves[0])
    parts = []
    if S >= LEAST_POINTS:
        ticks = [str(step) for step in range(1, S + 1)]
        svg = draw(curve_figure, curves, [run.label for run in runs], ticks, "step of the horizon")
        parts.append(f'<div class="figures"><figure>{svg}</figure></div>')
    shown = np.unique(np.linspace(0, S - 1, min(S, LINES)).astype(int))
    names = [str(step + 1) for step in shown]
    table = group_table("step", names, [run.sums.by_step[:, shown] for run in runs], runs, worst_first=False)
    parts.append(details("In numbers", table) if parts else table)
    return Section("Error by step of the horizon", parts)


def by_time(runs: Sequence[Forecaster], data: ForecastingData) -> list[Section]:
    """The error over time, and by hour and weekday where times are dates."""
    times = data.table.times
    used = np.flatnonzero(runs[0].sums.by_row[1])
    numbers, names = periods(times[used])
    sums = [grouped(run.sums.by_row[:, used], numbers, len(names)) for run in runs]
    parts = []
    if len(names) >= LEAST_POINTS:
        svg = draw(curve_figure, [means(each) for each in sums], [run.label for run in runs], names, "time forecast")
        parts.append(f'<div class="figures"><figure>{svg}</figure></div>')
    table = group_table("beginning at", names, sums, runs, worst_first=True)
    parts.append(details("The worst", table) if parts else table)
    sections = [Section("Error over time", parts)]
    if times.dtype.kind != "M":
        return sections
    for heading, found in (("hour", times_of_day(times[used])), ("weekday", weekdays(times[used]))):
        if found is not None:
            groups, labels = found
            every = [grouped(run.sums.by_row[:, used], groups, len(labels)) for run in runs]
            table = group_table(heading, labels, every, runs, worst_first=False, most=len(labels))
            clock = " Times are in UTC." if heading == "hour" and data.table.clock.value == "utc" else ""
            parts = [table, soft(clock.strip())] if clock else [table]
            sections.append(Section(f"Error by {heading}", parts))
    return sections


def group_table(
    first: str,
    names: Sequence[str],
    sums: Sequence[Floats],
    runs: Sequence[Forecaster],
    *,
    worst_first: bool,
    most: int = LINES,
) -> str:
    """A table of mean errors by group, of each run; the bar is the first run's error, relative to the largest."""
    every = [means(each) for each in sums]
    present = np.flatnonzero(sums[0][1] > 0)
    order = present[np.argsort(-every[0][present], kind="stable")] if worst_first else present
    largest = np.nanmax(every[0]) or 1.0
    total = sums[0][0].sum() or 1.0
    header = [first, "values", *(f"mse, {run.label}" for run in runs), "", "of the squared error"]
    rows, values = [], list[list[object]]()
    for g in order[:most].tolist():
        errors, share = [float(each[g]) for each in every], float(sums[0][0, g] / total)
        rows.append([names[g], f"{int(sums[0][1, g]):,}", *(f"{error:.4g}" for error in errors),
                     Html(bar(errors[0] / largest)), percent(share)])  # fmt: skip
        values.append([g if not worst_first else names[g], int(sums[0][1, g]), *errors, errors[0], share])
    table = html_table(header, rows, values)
    return table + (soft(f"The {most} worst of {len(order):,}.") if worst_first and len(order) > most else "")
