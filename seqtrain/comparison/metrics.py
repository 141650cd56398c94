"""Properties of metrics by name: the better direction, and the unit of a difference."""

import math
from collections.abc import Sequence

import numpy as np

POINT_METRICS = frozenset(
    {
        *("accuracy", "top5_accuracy", "sequence_accuracy", "macro_f1", "auroc"),
        *("entity_f1", "entity_precision", "entity_recall"),
    }
)
"""Metrics between 0 and 1 where more is better; for all other metrics less is better.

A difference of 0.01 is one point.
"""

UNRANKED = frozenset({"coverage", "conformal_coverage"})
"""Metrics without a better direction: their target is the nominal share."""

NATS = {"language_modelling": "nats per token", "sequence_labelling": "nats per step"}
"""Kind of task -> unit of ``loss``; nats for all others."""


def unit(metric: str, task: str) -> tuple[float, str]:
    """Unit in which a difference of a metric is given.

    Args:
        metric: its name.
        task: kind of the task.

    Returns:
        Factor and words: a difference of 0.012 in accuracy is 1.2 ``points of accuracy``.
    """
    if metric in POINT_METRICS:
        return 100.0, f"points of {metric}"
    if metric == "loss":
        return 1.0, NATS.get(task, "nats")
    return 1.0, f"in {metric}"


def deviation(values: Sequence[float]) -> float | None:
    """Sample standard deviation; None for fewer than two values, NaN if a value is not finite."""
    with np.errstate(invalid="ignore"):
        return float(np.std(values, ddof=1)) if len(values) > 1 else None


def column_decimals(values: Sequence[float]) -> int:
    """Number of decimals that gives the median of the values four digits, from 0 to 6."""
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    return min(6, max(0, 3 - math.floor(math.log10(np.median(sizes))))) if sizes else 4


def width_decimals(width: float) -> int:
    """Number of decimals that gives an interval's width two digits, from 0 to 8."""
    return min(8, max(0, 1 - math.floor(math.log10(width)))) if width > 0 and math.isfinite(width) else 4
