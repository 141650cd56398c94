"""Statistics of single test examples: how the metrics of a task follow from the outputs that a run stores.

A metric that is a function of means over examples can be resampled, so that runs are compared with intervals. A task
registers its own: ``register("task", ..., statistics="module:NAME")``. Nothing here imports torch.

Shapes: N examples, K terms; "..." any shape.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Outputs = Mapping[str, NDArray[Any]]
"""Stored outputs on test, by name."""
Spec = Mapping[str, Any]
"""The DataSpec, as data.json has it."""
Options = Mapping[str, Any]
"""A run's configuration: dotted key -> value."""

MAX_TERMS = 1 << 27
"""Maximum number of terms (N x K) of a statistic; 1 GiB."""


@dataclass(frozen=True)
class Statistic:
    """A metric as a function of means over examples, so that it can be computed for any sample of them."""

    terms: Floats
    """(N, K)."""
    score: Callable[[Floats], Floats] | None = None
    """Function from means (..., K) to the metric (...). None: the mean of the only term is the metric."""

    def value(self) -> float:
        """The metric over all examples."""
        return float(self.scores(self.terms.mean(axis=0)))

    def scores(self, means: Floats) -> Floats:
        """The metric (...) at means (..., K)."""
        return means[..., 0] if self.score is None else self.score(means)


def paired(outputs: Outputs) -> tuple[NDArray[Any], NDArray[Any]]:
    """Predictions and targets, one for each example or step.

    Raises:
        ValueError: if they differ in shape, since they would be compared each with each.
    """
    predictions, targets = outputs["predictions"], outputs["targets"]
    if predictions.shape != targets.shape:
        raise ValueError(f"predictions of shape {predictions.shape} for targets of shape {targets.shape}")
    return predictions, targets


def mean_of(values: NDArray[Any]) -> Statistic:
    """Statistic that is the mean of one value per example, (N,)."""
    return Statistic(values.astype(np.float64)[:, None])


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Statistic:
    """Statistic that is a sum divided by a sum, from (N,) values each: examples are weighted by the denominator."""
    terms = np.stack([numerator, denominator], axis=1).astype(np.float64)
    return Statistic(terms, lambda means: quotient(means[..., 0], means[..., 1]))


def quotient(a: Floats, b: Floats) -> Floats:
    """Elementwise a / b, 0 where b is 0."""
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b != 0)


@dataclass(frozen=True)
class Metric:
    """What is known of a metric, beside its value."""

    statistic: Callable[[Outputs, Spec], Statistic] | None = None
    """How it follows from stored outputs; raises KeyError if one is missing. None: it is no function of means."""
    maximize: bool | None = False
    """Whether more is better; None where neither more nor less is."""
    unit: str = ""
    """Unit of a difference, in words; empty: "in" and the metric's name."""
    factor: float = 1.0
    """Factor from a difference to that unit."""
    exponential: str = ""
    """Name of the metric that is its exponential, whose relative difference is said too."""


@dataclass(frozen=True)
class TaskStatistics:
    """What the stored outputs of a task contain, and what is known of its metrics."""

    unit: str
    """What one example is, in the plural."""
    metrics: dict[str, Metric]
    """By name; of a metric that is absent less is better."""
    ordered: bool = False
    """Examples are in temporal order and depend on their neighbours."""
    right_of_class: Callable[[Outputs, Spec], tuple[NDArray[np.bool_], NDArray[np.integer], list[str]]] | None = None
    """Which examples are right, (N,); the class of each, (N,); and the names of the classes. None: there are none."""
    about: Mapping[str, str] = field(default_factory=dict)
    """What TensorBoard says of a metric: what it is, what is good, and what to do where it is not. Of the metrics that
    several tasks have, one says it for all."""
    must_agree: Callable[[Spec, Options], dict[str, str]] | None = None
    """Further facts that two runs must share for their scores to be compared: name -> value in words."""


def share(name: str, statistic: Callable[[Outputs, Spec], Statistic] | None = None) -> Metric:
    """A metric between 0 and 1 of which more is better; a difference of 0.01 is one point."""
    return Metric(statistic, True, f"points of {name}", 100.0)
