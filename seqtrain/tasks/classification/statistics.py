"""Statistics of classification: an example is a row.

Shapes: N rows, C classes; "..." any shape.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.statistics import (
    MAX_TERMS,
    Floats,
    Metric,
    Outputs,
    Spec,
    Statistic,
    TaskStatistics,
    mean_of,
    quotient,
    share,
)


def classes(outputs: Outputs) -> tuple[NDArray[Any], NDArray[Any]]:
    """Probabilities (N, C) and targets (N,); raises ValueError if they are of other shapes."""
    probabilities, targets = outputs["probabilities"], outputs["targets"]
    if probabilities.ndim != 2 or targets.shape != probabilities.shape[:1]:
        raise ValueError(f"probabilities of shape {probabilities.shape} for targets of shape {targets.shape}")
    return probabilities, targets


def class_accuracy(outputs: Outputs, spec: Spec) -> Statistic:
    """Accuracy: share of rows whose most probable class is correct."""
    probabilities, targets = classes(outputs)
    return mean_of(probabilities.argmax(1) == targets)


def class_cross_entropy(outputs: Outputs, spec: Spec) -> Statistic:
    """Loss: negative log-probability of the true class, in nats."""
    probabilities, targets = classes(outputs)
    true = probabilities[np.arange(len(targets)), targets]
    return mean_of(-np.log(np.maximum(true, np.finfo(np.float64).tiny)))


def class_macro_f1(outputs: Outputs, spec: Spec) -> Statistic:
    """Macro F1, from counts of correct, predicted and true rows of each class."""
    probabilities, targets = classes(outputs)
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


def right_of_class(outputs: Outputs, spec: Spec) -> tuple[NDArray[np.bool_], NDArray[np.integer], list[str]]:
    """Which rows are right, (N,); the class of each, (N,); and the names of the classes.

    Raises:
        KeyError: if there are no names, or an output is missing.
    """
    targets, names = outputs["targets"], list(spec["class_names"])
    if not names or targets.max(initial=0) >= len(names):
        raise KeyError("names of classes")
    return outputs["probabilities"].argmax(1) == targets, targets, names


STATISTICS = TaskStatistics(
    "rows",
    {
        "accuracy": share("accuracy", class_accuracy),
        "loss": Metric(class_cross_entropy, unit="nats"),
        "macro_f1": share("macro_f1", class_macro_f1),
        "auroc": share("auroc"),
    },
    right_of_class=right_of_class,
    about={
        "loss": (
            "Mean loss in nats, without regularisation: less is better. Where it rises while that of train falls, "
            "the model overfits: stop earlier (trainer.patience), or use more dropout, weight decay or data."
        ),
        "accuracy": (
            "Share of right predictions: more is better. Compare it with the share of the most frequent class."
        ),
        "macro_f1": (
            "Mean of the classes' F1, each class counting the same: more is better. Far below the accuracy, rare "
            "classes are missed: look at the confusion matrix, and try task.class_weights=balanced."
        ),
        "auroc": (
            "Probability that a row of the second class gets a higher score than one of the first: 0.5 is chance, 1 "
            "is perfect."
        ),
        "calibration_error": (
            "Mean distance between confidence and accuracy, over 15 bins: 0 is best. Where it is large, confidences "
            "mislead: set task.temperature=true."
        ),
        "calibration_error_before": "Calibration error without the temperature that was fitted.",
    },
)
