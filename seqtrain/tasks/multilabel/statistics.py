"""Statistics of multi-label classification: an example is a row.

Shapes: N rows, C classes; "..." any shape.
"""

import numpy as np

from seqtrain.tasks.statistics import (
    MAX_TERMS,
    Floats,
    Metric,
    Outputs,
    Spec,
    Statistic,
    TaskStatistics,
    mean_of,
    paired,
    quotient,
    ratio,
    share,
)


def cross_entropy(outputs: Outputs, spec: Spec) -> Statistic:
    """Loss: binary cross-entropy in nats, the mean over rows and classes."""
    return mean_of(outputs["losses"])


def subset_accuracy(outputs: Outputs, spec: Spec) -> Statistic:
    """Share of rows whose set of labels is exactly right."""
    return mean_of(np.equal(*paired(outputs)).all(1))


def micro_f1(outputs: Outputs, spec: Spec) -> Statistic:
    """F1 of all labels of all rows together, 0 if there are none."""
    predictions, targets = paired(outputs)
    return ratio(2 * (predictions & targets).sum(1), predictions.sum(1) + targets.sum(1))


def macro_f1(outputs: Outputs, spec: Spec) -> Statistic:
    """Mean over all classes of their F1."""
    predictions, targets = paired(outputs)
    N, C = targets.shape
    if 3 * N * C > MAX_TERMS:
        raise KeyError(f"macro_f1 of {C:,} classes takes too much memory to be resampled")
    return Statistic(np.hstack([predictions & targets, predictions, targets]).astype(np.float64), macro_f1_of_means)


def macro_f1_of_means(means: Floats) -> Floats:
    """Mean over all C classes of F1, (...), from the shares of right, predicted and true rows (..., 3 C).

    The F1 of a class that is neither predicted nor true is 0, as scikit-learn's with ``zero_division=0``.
    """
    hits, guessed, true = np.moveaxis(means.reshape(*means.shape[:-1], 3, -1), -2, 0)
    scores: Floats = quotient(2 * hits, guessed + true).mean(-1)
    return scores


STATISTICS = TaskStatistics(
    "rows",
    {
        "loss": Metric(cross_entropy, unit="nats"),
        "micro_f1": share("micro_f1", micro_f1),
        "macro_f1": share("macro_f1", macro_f1),
        "subset_accuracy": share("subset_accuracy", subset_accuracy),
        "mean_average_precision": share("mean_average_precision"),
        "mean_auroc": share("mean_auroc"),
    },
    about={
        "micro_f1": "F1 over all labels of all rows together: more is better.",
        "subset_accuracy": "Share of rows of which all labels are right: more is better.",
        "mean_average_precision": "Mean over labels of the area below precision against recall: more is better.",
        "mean_auroc": "Mean over labels of the area under the ROC curve: 0.5 is chance, 1 is perfect.",
    },
)
