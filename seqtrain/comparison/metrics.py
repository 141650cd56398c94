"""What tasks register of their metrics, and how differences are written."""

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import cache

import numpy as np

from seqtrain.config import registry
from seqtrain.errors import ConfigError
from seqtrain.tasks.statistics import Metric, TaskStatistics

UNKNOWN = TaskStatistics("rows", {})
"""Of a task that registers no statistics, or of a plugin that is not installed."""


@cache
def statistics_of(task: str) -> TaskStatistics:
    """What a kind of task registers of its metrics."""
    with suppress(ConfigError):
        return registry.find("task", task).load_statistics() or UNKNOWN
    return UNKNOWN


def metric_of(metric: str, task: str) -> Metric:
    """What is known of a metric of a kind of task; of an unknown one less is better."""
    return statistics_of(task).metrics.get(metric, Metric())


def less_is_better(metric: str) -> bool:
    """Whether less of a metric is better, whatever the task; of an unknown one it is."""
    return not any(metric_of(metric, task).maximize for task in registry.REGISTRY["task"])


def unit(metric: str, task: str) -> tuple[float, str]:
    """Unit in which a difference of a metric is given.

    Args:
        metric: its name.
        task: kind of the task.

    Returns:
        Factor and words: a difference of 0.012 in accuracy is 1.2 ``points of accuracy``.
    """
    known = metric_of(metric, task)
    return known.factor, known.unit or f"in {metric}"


def deviation(values: Sequence[float]) -> float | None:
    """Sample standard deviation; None for fewer than two values, NaN if a value is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.std(values, ddof=1)) if len(values) > 1 else None


def column_decimals(values: Sequence[float]) -> int:
    """Number of decimals that gives the median of the values four digits, from 0 to 6."""
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    return min(6, max(0, 3 - math.floor(math.log10(np.median(sizes))))) if sizes else 4


def width_decimals(width: float) -> int:
    """Number of decimals that gives an interval's width two digits, from 0 to 8."""
    return min(8, max(0, 1 - math.floor(math.log10(width)))) if width > 0 and math.isfinite(width) else 4
