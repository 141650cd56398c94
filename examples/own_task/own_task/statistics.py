"""Scores of the task, from the outputs on a split. The meter and ``seqtrain compare`` use them; without torch.

Shapes: N rows, K classes.
"""

import numpy as np

from seqtrain.tasks.statistics import Metric, Outputs, Spec, Statistic, TaskStatistics, mean_of, share


def predicted_stars(outputs: Outputs, spec: Spec) -> np.ndarray:
    """Stars of the most probable class of each row, (N,)."""
    return np.array(spec["class_names"], dtype=int)[outputs["probabilities"].argmax(1)]


def absolute_error(outputs: Outputs, spec: Spec) -> Statistic:
    """Mean distance between predicted and true stars."""
    true = np.array(spec["class_names"], dtype=int)[outputs["targets"]]
    return mean_of(np.abs(predicted_stars(outputs, spec) - true))


def accuracy(outputs: Outputs, spec: Spec) -> Statistic:
    """Share of rows whose most probable class is correct."""
    return mean_of(outputs["probabilities"].argmax(1) == outputs["targets"])


def cross_entropy(outputs: Outputs, spec: Spec) -> Statistic:
    """Negative log-probability of the true class, in nats."""
    true = outputs["probabilities"][np.arange(len(outputs["targets"])), outputs["targets"]]
    return mean_of(-np.log(np.maximum(true, np.finfo(np.float64).tiny)))


STATISTICS = TaskStatistics(
    unit="texts",
    metrics={
        "mae": Metric(absolute_error, unit="stars"),
        "accuracy": share("accuracy", accuracy),
        "loss": Metric(cross_entropy, unit="nats"),
    },
)


def scores(outputs: Outputs, spec: Spec) -> dict[str, float]:
    """The value of every metric."""
    metrics = STATISTICS.metrics.items()
    return {name: metric.statistic(outputs, spec).value() for name, metric in metrics if metric.statistic}
