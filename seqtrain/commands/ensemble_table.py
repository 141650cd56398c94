"""The scores of an ensemble on a split, beside those of its members."""

from collections.abc import Sequence
from dataclasses import dataclass

from seqtrain.alignment import align_columns
from seqtrain.comparison.bootstrap import LEVEL, RESAMPLES
from seqtrain.comparison.metrics import column_decimals, statistics_of, unit, width_decimals
from seqtrain.config.root import Config
from seqtrain.tasks.base import Task

MOST_METRICS = 4


@dataclass
class Scored:
    """A member of an ensemble with its scores on a split."""

    name: str
    metrics: dict[str, float]
    better: list[float] | None
    """Ends of the interval of how much better the ensemble is by the monitored metric; None if there is none."""


def ensemble_table(
    config: Config, task: Task, split: str, size: int, own: dict[str, float], members: Sequence[Scored], parts: int
) -> str:
    """The table as text.

    Args:
        config: configuration of the ensemble.
        task: its task.
        split: validation or test.
        size: number of rows.
        own: scores of the ensemble.
        members: those of its members.
        parts: number of folds whose rows are in the split together; 1 if all members have all rows.
    """
    kind, monitor = config.task.kind, task.monitor
    metrics = [name for name in dict.fromkeys([monitor, *task.shown]) if name in own][:MOST_METRICS]
    columns = [[metric, *texts([own, *(each.metrics for each in members)], metric)] for metric in metrics]
    paired = any(each.better for each in members)
    factor, words = unit(monitor, kind)
    if paired:
        sign = 1 if task.maximize else -1
        cells = [f"lead ({words}), {100 * LEVEL:.0f} % interval", ""]
        for each in members:
            value = sign * factor * (own[monitor] - each.metrics.get(monitor, float("nan")))
            cells.append(interval(value, [factor * end for end in each.better]) if each.better else "-")
        columns.append(cells)
    names = ["", config.model.name, *(each.name for each in members)]
    lines = [
        f"{split} of {size:,} {statistics_of(kind).unit}",
        "",
        *align_columns(list(zip(names, *columns, strict=True))),
    ]
    better = "more" if task.maximize else "less"
    remarks = []
    if paired:
        remarks += [
            f"Of {monitor} {better} is better; the lead is that of the ensemble.",
            f"Intervals: paired bootstrap, {RESAMPLES:,} resamples; they cover which rows are in {split}.",
        ]
    if parts > 1:
        remarks.append(
            f"Out of fold: each row is scored by the members that were not trained on it, those of its fold; {parts} "
            "folds are here. Members are scored on the rows of their own fold, so there are no paired intervals."
        )
    return "\n".join([*lines, *([""] if remarks else []), *remarks])


def texts(scores: Sequence[dict[str, float]], metric: str) -> list[str]:
    """A metric of the ensemble and each member; "-" for one that is missing."""
    values = [each.get(metric) for each in scores]
    decimals = column_decimals([value for value in values if value is not None])
    return ["-" if value is None else f"{value:,.{decimals}f}" for value in values]


def interval(value: float, ends: Sequence[float]) -> str:
    """A lead and its interval."""
    decimals = width_decimals(ends[1] - ends[0])
    return f"{value:.{decimals}f}, {ends[0]:.{decimals}f} to {ends[1]:.{decimals}f}"
