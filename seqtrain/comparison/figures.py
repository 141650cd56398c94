"""Figures of a comparison for the HTML page.

Groups are identified by their number in the table and by colour.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.comparison.grouping import Group
from seqtrain.comparison.metrics import unit
from seqtrain.comparison.pairs import Difference, Pairs
from seqtrain.comparison.report import Row, Table
from seqtrain.pages.svg import GREY, canvas, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BADGE = 150  # area of the circle around a group's number, in points^2
LEAST_POINTS = 3
"""A figure has at least so many points."""
LEAST_SHARE, LEAST_PART = 0.05, 0.1
"""Smallest width of an axis: of shares, and of other metrics as a part of the largest score."""
MAX_SPANS_AWAY = 1.0
"""Baselines farther from the groups than this many times the groups' span are named in the caption instead of drawn."""


def draw_badge(axes: "Axes", x: float, y: float, place: int) -> None:
    """Draw a group's number in a circle."""
    axes.scatter([x], [y], s=BADGE, color=colour(place), zorder=4)
    axes.text(
        *(x, y), str(place + 1), ha="center", va="center_baseline", color="#ffffff", fontsize=8, weight="bold", zorder=5
    )


def score_figure(table: Table, metric: str) -> "Figure | None":
    """Scores of a metric: one line per group with mean, deviation and seeds, and vertical lines for baselines."""
    rows = [row for row in table.rows if is_finite(row.mean(metric))]
    near = [(row.name, mean) for row in table.baselines if (mean := row.mean(metric)) is not None]
    near = [(name, mean) for name, mean in near if is_near(mean, table, metric)]
    if not rows or sum(len(row.scores[metric]) for row in rows) + len(near) < LEAST_POINTS:
        return None
    figure, axes = canvas(1.05 + 0.32 * len(rows))
    for line, row in enumerate(rows):
        place, mean, deviation = table.rows.index(row), row.mean(metric), row.deviation(metric)
        assert mean is not None
        if deviation is not None:
            axes.errorbar(mean, line, xerr=deviation, color=colour(place), capsize=3, linewidth=1.5)
        axes.plot(row.scores[metric], [line + 0.25] * len(row.scores[metric]), ".", color=colour(place), alpha=0.7)
        draw_badge(axes, mean, line, place)
    for i, (name, mean) in enumerate(near):
        axes.axvline(mean, color=GREY, linestyle="--", linewidth=1)
        side = "right" if mean > sum(axes.get_xlim()) / 2 else "left"
        axes.annotate(
            name, (mean, 1), (0, 4 + 11 * (len(near) - 1 - i)), ha=side, fontsize=8, color=GREY, parse_math=False,
            xycoords=axes.get_xaxis_transform(), textcoords="offset points",
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [short(row.name) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(widened(*axes.get_xlim(), least_span(table, metric)))
    axes.set_xlabel(f"{table.split} {metric}")
    return figure


def least_span(table: Table, metric: str) -> float:
    """Smallest width of an axis of a metric: a fixed part of its range, and the widest interval of a difference."""
    scores = [abs(value) for row in table.rows for value in row.scores.get(metric, []) if is_finite(value)]
    is_share = unit(metric, table.groups[0].runs[0].task)[0] != 1
    intervals = [d.upper - d.lower for pairs in table.pairs if pairs.metric == metric for d in pairs.differences]
    return max([LEAST_SHARE if is_share else LEAST_PART * max(scores, default=0.0), *filter(is_finite, intervals)])


def widened(low: float, high: float, span: float) -> tuple[float, float]:
    """Ends of an axis, moved apart around their middle so that it is at least as wide as ``span``."""
    more = max(span - (high - low), 0) / 2
    return low - more, high + more


def is_finite(value: float | None) -> bool:
    """Whether a value exists and can be drawn."""
    return value is not None and math.isfinite(value)


def is_near(value: float, table: Table, metric: str) -> bool:
    """Whether a baseline's value is close enough to the groups to be drawn."""
    values = [value for row in table.rows for value in row.scores.get(metric, []) if is_finite(value)]
    if not values:
        return False
    span = (max(values) - min(values)) or abs(max(values)) * 0.1 or 1.0
    return min(values) - MAX_SPANS_AWAY * span <= value <= max(values) + MAX_SPANS_AWAY * span


def far_baselines(table: Table, metric: str) -> list[Row]:
    """Baselines that have the metric but are too far away to be drawn."""
    means = [(row, row.mean(metric)) for row in table.baselines]
    return [row for row, mean in means if mean is not None and not is_near(mean, table, metric)]


def cost_figure(table: Table, metric: str, cost: str) -> "Figure | None":
    """The metric of each group against its cost, ``seconds`` or ``parameters``."""
    points = []
    for place, row in enumerate(table.rows):
        x, y = getattr(row, cost), row.mean(metric)
        if x is not None and y is not None and math.isfinite(y):
            points.append((x, y, place))
    if len(points) < LEAST_POINTS:
        return None
    figure, axes = canvas(3.2)
    for x, y, place in points:
        draw_badge(axes, x, y, place)
    costs = [point[0] for point in points]
    if max(costs) > 10 * min(costs) > 0:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        axes.locator_params(axis="x", nbins=5)
    axes.margins(0.12)
    axes.set_ylim(widened(*axes.get_ylim(), least_span(table, metric)))
    axes.set(xlabel="seconds of training" if cost == "seconds" else "parameters", ylabel=f"{table.split} {metric}")
    return figure


def curve_figure(table: Table, metric: str) -> "Figure | None":
    """The metric on validation over the steps: mean over each group's runs, with a band of one deviation."""
    curves = [(place, *mean_curve(group, f"val/{metric}")) for place, group in enumerate(table.groups)]
    curves = [curve for curve in curves if len(curve[1])]
    if not curves or max(len(curve[1]) for curve in curves) < LEAST_POINTS:
        return None
    figure, axes = canvas(3.2)
    for place, steps, mean, deviation in reversed(curves):  # the best groups on top
        axes.plot(steps, mean, color=colour(place), linewidth=1.5, marker="." if len(steps) < 15 else "")
        axes.fill_between(steps, mean - deviation, mean + deviation, color=colour(place), alpha=0.15, linewidth=0)
    axes.set_ylim(widened(*axes.get_ylim(), least_span(table, metric)))
    last, (low, high) = max(steps[-1] for _, steps, _, _ in curves), axes.get_ylim()
    x = last + 0.06 * (last - min(steps[0] for _, steps, _, _ in curves))
    heights = spread([float(mean[-1]) for _, _, mean, _ in curves], 0.08 * (high - low))
    for (place, steps, mean, _), height in zip(curves, heights, strict=True):
        axes.plot([steps[-1], x], [mean[-1], height], color=colour(place), linewidth=0.7, alpha=0.6)
        draw_badge(axes, x, height, place)
    axes.set(xlabel="step", ylabel=f"validation {metric}")
    return figure


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Values moved apart in their order, so that neighbours are at least ``gap`` apart."""
    order = np.argsort(values, kind="stable")
    clusters: list[list[float]] = []  # values that are spread around their common mean
    for value in np.asarray(values)[order].tolist():
        clusters.append([value])
        while len(clusters) > 1 and highest(clusters[-2], gap) + gap > lowest(clusters[-1], gap):
            clusters[-2:] = [clusters[-2] + clusters[-1]]
    moved = [np.mean(cluster) + gap * (i - (len(cluster) - 1) / 2) for cluster in clusters for i in range(len(cluster))]
    result = np.empty(len(values))
    result[order] = moved
    return result.tolist()


def highest(cluster: list[float], gap: float) -> float:
    """Highest place of a cluster's values after they are spread ``gap`` apart around their mean."""
    return float(np.mean(cluster) + gap * (len(cluster) - 1) / 2)


def lowest(cluster: list[float], gap: float) -> float:
    """Lowest place of a cluster's values after they are spread ``gap`` apart around their mean."""
    return float(2 * np.mean(cluster) - highest(cluster, gap))


def mean_curve(group: Group, tag: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps at which all runs of a group have the tag, with mean and sample deviation (0 for a single run)."""
    curves = [curve for run in group.runs if (curve := run.curve(tag))]
    steps = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    values = np.array([[curve[step] for step in steps] for curve in curves])
    if not steps:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    deviation = values.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros(len(steps))
    return np.array(steps), values.mean(axis=0), deviation


def difference_figure(table: Table, pairs: Pairs) -> "Figure | None":
    """Lead of the best group over each other group, with intervals; hollow markers where the interval contains 0."""
    differences: list[Difference] = pairs.with_best
    if len(differences) < 2:  # a sentence says as much
        return None
    factor, words = unit(pairs.metric, pairs.task)
    figure, axes = canvas(0.8 + 0.32 * len(differences))
    for line, d in enumerate(differences):
        place = table.groups.index(d.worse)
        fill = colour(place) if d.is_shown else "none"
        axes.plot([factor * d.lower, factor * d.upper], [line, line], color=colour(place), linewidth=2)
        axes.plot([factor * d.value], [line], "o", color=colour(place), markerfacecolor=fill, markersize=7)
    axes.axvline(0, color="#000000", linewidth=1)
    names = [f"{short(d.worse.label)}  {table.groups.index(d.worse) + 1}" for d in differences]
    axes.set_yticks(range(len(differences)), names, parse_math=False)
    axes.set_ylim(len(differences) - 0.5, -0.5)
    axes.set_xlabel(f"lead of {short(differences[0].better.label)}, {words}", parse_math=False)
    return figure


def short(name: str) -> str:
    """A name cut to a length that leaves room for the figure."""
    return name if len(name) <= 28 else f"{name[:27]}…"
