"""Statistics of single test examples, from the stored predictions of a run.

A metric is computed from means over examples, so that it can be resampled. Each function below takes the stored outputs
and the DataSpec of data.json, and raises KeyError if an output is missing.

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


# Classification; an example is a row.


def class_accuracy(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Accuracy: share of rows whose most probable class is correct."""
    return mean_of(outputs["probabilities"].argmax(1) == outputs["targets"])


def class_cross_entropy(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Loss: negative log-probability of the true class, in nats."""
    probabilities, targets = outputs["probabilities"], outputs["targets"]
    true = probabilities[np.arange(len(targets)), targets]
    return mean_of(-np.log(np.maximum(true, np.finfo(np.float64).tiny)))


def class_macro_f1(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Macro F1, from counts of correct, predicted and true rows of each class."""
    probabilities, targets = outputs["probabilities"], outputs["targets"]
    N, C = probabilities.shape
    if 3 * N * C > MAX_TERMS:
        raise KeyError(f"macro_f1 of {C:,} classes takes too much memory to be resampled")
    guesses, rows, terms = probabilities.argmax(1), np.arange(N), np.zeros((N, 3, C))
    terms[rows, 0, targets] = guesses == targets
    terms[rows, 1, guesses] = terms[rows, 2, targets] = 1
    return Statistic(terms.reshape(N, 3 * C), macro_f1_of_means)


def macro_f1_of_means(means: Floats) -> Floats:
    """Mean F1 over the classes that occur, (...), from the shares of correct, predicted and true rows (..., 3 C)."""
    hits, guessed, true = np.moveaxis(means.reshape(*means.shape[:-1], 3, -1), -2, 0)
    occurs = guessed + true > 0
    return quotient(quotient(2 * hits, guessed + true).sum(-1), occurs.sum(-1).astype(np.float64))


# Regression; an example is a row.


def squared_error(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Mean squared error."""
    return mean_of((outputs["predictions"] - outputs["targets"]) ** 2)


def absolute_error(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Mean absolute error."""
    return mean_of(np.abs(outputs["predictions"] - outputs["targets"]))


# Labelling; an example is a sequence, since its steps depend on each other.


def per_sequence(values: NDArray[Any], outputs: Outputs) -> Floats:
    """Sums over the steps of each sequence, (N,), of concatenated values; no sequence is empty."""
    starts = np.concatenate([[0], np.cumsum(outputs["lengths"])[:-1]])
    return np.add.reduceat(values.astype(np.float64), starts)


def label_cross_entropy(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Loss: negative log-probability of the true label, in nats per step."""
    return ratio(per_sequence(-outputs["log_probabilities"], outputs), outputs["lengths"])


def label_accuracy(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Accuracy: share of steps with the correct label."""
    return ratio(per_sequence(outputs["predictions"] == outputs["targets"], outputs), outputs["lengths"])


def sequence_accuracy(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Share of sequences in which every label is correct."""
    return mean_of(per_sequence(outputs["predictions"] != outputs["targets"], outputs) == 0)


def entity_f1(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """F1 of entities: 2 * correct / (predicted + true)."""
    from seqeval.metrics.sequence_labeling import get_entities

    names, ends = np.array(spec["class_names"], dtype=object), np.cumsum(outputs["lengths"])[:-1]
    sides = [np.split(names[outputs[side]], ends) for side in ("predictions", "targets")]
    found = [[set(get_entities(row.tolist())) for row in side] for side in sides]
    hits = np.array([2 * len(guessed & true) for guessed, true in zip(*found, strict=True)])
    return ratio(hits, np.array([len(guessed) + len(true) for guessed, true in zip(*found, strict=True)]))


# Language modelling; an example is a token.


def token_cross_entropy(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Loss: negative log-probability of the token, in nats."""
    return mean_of(-outputs["log_probabilities"])


def token_perplexity(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Perplexity: the exponential of the loss."""
    return Statistic(token_cross_entropy(outputs, spec).terms, lambda means: np.exp(means[..., 0]))


# Forecasting; an example is a window, with sums over its steps and variables.


def window_mean(name: str) -> Callable[[Outputs, dict[str, Any]], Statistic]:
    """Statistic that is the mean of an output over the observed values of all windows."""
    return lambda outputs, spec: ratio(outputs[name], outputs["observed"])


def window_rmse(outputs: Outputs, spec: dict[str, Any]) -> Statistic:
    """Root mean squared error."""
    terms = window_mean("squared_errors")(outputs, spec).terms
    return Statistic(terms, lambda means: np.sqrt(quotient(means[..., 0], means[..., 1])))


@dataclass(frozen=True)
class TaskStatistics:
    """What the stored predictions of one kind of task contain."""

    unit: str
    """What one example is, in the plural."""
    statistics: dict[str, Callable[[Outputs, dict[str, Any]], Statistic]]
    """Metric -> function of the outputs and the DataSpec."""
    ordered: bool = False
    """Examples are in temporal order and depend on their neighbours."""


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
"""Kind of task -> its statistics.

Metrics that are no function of means over examples (auroc, calibration_error) are absent.
"""
