"""What the stored predictions of a run say of each test example: the terms whose means give its scores.

Shapes: N examples, K terms, C classes; "..." any shape.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Outputs = Mapping[str, NDArray[Any]]

MAX_TERMS = 1 << 27
"""Numbers (N x K) that a statistic may have; 1 GiB."""


@dataclass(frozen=True)
class Statistic:
    """A metric as a function of means over examples, so that it can be had of any sample of them."""

    terms: Floats
    """(N, K)."""
    score: Callable[[Floats], Floats] | None = None
    """From means (..., K) to the metric (...); None: the mean of the one term is the metric."""

    def value(self) -> float:
        """The metric over all examples."""
        return float(self.scores(self.terms.mean(axis=0)))

    def scores(self, means: Floats) -> Floats:
        """The metric (...) of means (..., K)."""
        return means[..., 0] if self.score is None else self.score(means)


def mean_of(values: NDArray[Any]) -> Statistic:
    """The mean of a value per example, (N,)."""
    return Statistic(values.astype(np.float64)[:, None])


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Statistic:
    """A sum over a sum, (N,) each: examples count by what they hold."""
    terms = np.stack([numerator, denominator], axis=1).astype(np.float64)
    return Statistic(terms, lambda means: quotient(means[..., 0], means[..., 1]))


def quotient(a: Floats, b: Floats) -> Floats:
    """Quotient of two arrays, 0 where the divisor is 0."""
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b != 0)


# Classification: rows.


def class_accuracy(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Accuracy: whether the most probable class is right."""
    return mean_of(outputs["probabilities"].argmax(1) == outputs["targets"])


def class_cross_entropy(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Loss: nats of the true class."""
    probabilities, targets = outputs["probabilities"], outputs["targets"]
    true = probabilities[np.arange(len(targets)), targets]
    return mean_of(-np.log(np.maximum(true, np.finfo(np.float64).tiny)))


def class_macro_f1(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Macro F1: which class is hit, which is predicted, which is true."""
    probabilities, targets = outputs["probabilities"], outputs["targets"]
    N, C = probabilities.shape
    if 3 * N * C > MAX_TERMS:
        raise KeyError(f"macro_f1 of {C:,} classes takes too much memory to be resampled")
    guesses, rows, terms = probabilities.argmax(1), np.arange(N), np.zeros((N, 3, C))
    terms[rows, 0, targets] = guesses == targets
    terms[rows, 1, guesses] = terms[rows, 2, targets] = 1
    return Statistic(terms.reshape(N, 3 * C), macro_f1_of_means)


def macro_f1_of_means(means: Floats) -> Floats:
    """Mean of F1 over the classes that are predicted or true at all, (...), of shares (..., 3 C)."""
    hits, guessed, true = np.moveaxis(means.reshape(*means.shape[:-1], 3, -1), -2, 0)
    occurs = guessed + true > 0
    return quotient(quotient(2 * hits, guessed + true).sum(-1), occurs.sum(-1).astype(np.float64))


# Regression: rows.


def squared_error(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Squared error."""
    return mean_of((outputs["predictions"] - outputs["targets"]) ** 2)


def absolute_error(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Absolute error."""
    return mean_of(np.abs(outputs["predictions"] - outputs["targets"]))


# Labelling: sequences, since the steps of one depend on each other.


def per_sequence(values: NDArray[Any], outputs: Outputs) -> Floats:
    """Sums over the steps of each sequence, (N,), of values laid end to end; no sequence is empty."""
    starts = np.concatenate([[0], np.cumsum(outputs["lengths"])[:-1]])
    return np.add.reduceat(values.astype(np.float64), starts)


def label_cross_entropy(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Loss: nats of the true labels, over the steps."""
    return ratio(per_sequence(-outputs["log_probabilities"], outputs), outputs["lengths"])


def label_accuracy(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Accuracy of steps."""
    return ratio(per_sequence(outputs["predictions"] == outputs["targets"], outputs), outputs["lengths"])


def sequence_accuracy(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Sequences without a wrong step."""
    return mean_of(per_sequence(outputs["predictions"] != outputs["targets"], outputs) == 0)


def entity_f1(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """F1 of entities: 2 hits over those predicted and those true."""
    from seqeval.metrics.sequence_labeling import get_entities

    names, ends = np.array(spec["class_names"], dtype=object), np.cumsum(outputs["lengths"])[:-1]
    sides = [np.split(names[outputs[side]], ends) for side in ("predictions", "targets")]
    found = [[set(get_entities(row.tolist())) for row in side] for side in sides]
    hits = np.array([2 * len(guessed & true) for guessed, true in zip(*found, strict=True)])
    return ratio(hits, np.array([len(guessed) + len(true) for guessed, true in zip(*found, strict=True)]))


# Language modelling: tokens.


def token_cross_entropy(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Loss: nats of each token."""
    return mean_of(-outputs["log_probabilities"])


def token_perplexity(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """The exponential of the loss."""
    return Statistic(token_cross_entropy(outputs, spec).terms, lambda means: np.exp(means[..., 0]))


# Forecasting: windows, with sums over their steps and variables.


def window_mean(name: str) -> Callable[[Outputs, dict[str, Any]], Statistic]:
    """Mean over the observed values of all windows."""
    return lambda outputs, spec: ratio(outputs[name], outputs["observed"])


def window_rmse(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """The root of the mean squared error."""
    terms = window_mean("squared_errors")(outputs, spec).terms
    return Statistic(terms, lambda means: np.sqrt(quotient(means[..., 0], means[..., 1])))


@dataclass(frozen=True)
class TaskStatistics:
    """How the stored predictions of a kind of task are read."""

    unit: str
    """What one example is."""
    statistics: dict[str, Callable[[Outputs, dict[str, Any]], Statistic]]
    """By metric: from outputs, and the DataSpec as data.json has it; KeyError if an output is missing."""
    ordered: bool = False
    """Whether examples that follow each other in time depend on each other."""


TASK_STATISTICS = {
    "classification": TaskStatistics(
        "rows", {"accuracy": class_accuracy, "loss": class_cross_entropy, "macro_f1": class_macro_f1}
    ),
    "sequence_regression": TaskStatistics("rows", {"mse": squared_error, "mae": absolute_error}),
    "sequence_labelling": TaskStatistics(
        "sequences",
        {
            "loss": label_cross_entropy,
            "accuracy": label_accuracy,
            "sequence_accuracy": sequence_accuracy,
            "entity_f1": entity_f1,
        },
    ),
    "language_modelling": TaskStatistics(
        "tokens", {"loss": token_cross_entropy, "perplexity": token_perplexity}, ordered=True
    ),
    "forecasting": TaskStatistics(
        "windows",
        {
            "mse": window_mean("squared_errors"),
            "mae": window_mean("absolute_errors"),
            "rmse": window_rmse,
            "crps": window_mean("crps"),
        },
        ordered=True,
    ),
}
"""By kind of task. What is no function of means over examples (auroc, calibration_error) is not among the metrics."""
