"""Scores of multi-label classification, computed on the CPU from the outputs of a whole split.

Shapes: N rows, C classes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.base import Evaluation
from seqtrain.tasks.classification.metrics import auroc
from seqtrain.tasks.multilabel.statistics import STATISTICS
from seqtrain.tasks.statistics import quotient

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

THRESHOLD = 0.5
"""Probability from which a label is chosen, where no threshold was calibrated."""


def evaluation_of(
    probabilities: Floats, losses: Floats, targets: Bools, thresholds: Floats, class_names: list[str]
) -> Evaluation:
    """Scores of predicted probabilities.

    Args:
        probabilities: probability that each class applies, (N, C), N at least 1.
        losses: binary cross-entropy of each row in nats, the mean over the classes, (N,).
        targets: whether each class applies, (N, C).
        thresholds: probability of each class from which it is chosen, (C,).
        class_names: the C names.

    Returns:
        ``loss``, ``micro_f1``, ``macro_f1``, ``subset_accuracy``; ``mean_average_precision`` over the classes that
        apply to a row, and ``mean_auroc`` over those that apply to some rows but not to all, where there are any. The
        details have the scores of each class; the outputs what ``compare`` needs.
    """
    predictions = probabilities >= thresholds
    outputs = {"probabilities": probabilities, "predictions": predictions, "targets": targets, "losses": losses}
    statistics = {name: metric.statistic for name, metric in STATISTICS.metrics.items()}
    metrics = {name: make(outputs, {}).value() for name, make in statistics.items() if make is not None}
    precisions, areas = average_precisions(probabilities, targets), aurocs(probabilities, targets)
    for name, values in (("mean_average_precision", precisions), ("mean_auroc", areas)):
        if not np.isnan(values).all():
            metrics[name] = float(np.nanmean(values))
    hits, guessed, true = (flags.sum(0) for flags in (predictions & targets, predictions, targets))
    columns = {
        "precision": quotient(hits, guessed),
        "recall": quotient(hits, true),
        "f1": quotient(2 * hits, guessed + true),
        "average_precision": precisions,
        "auroc": areas,
        "threshold": thresholds,
    }
    details = {
        name: {key: plain(values[c]) for key, values in columns.items()} | {"support": int(true[c])}
        for c, name in enumerate(class_names)
    }
    return Evaluation(metrics, outputs, details={"classes": details})


def cross_entropies(probabilities: Floats, targets: Bools) -> Floats:
    """Binary cross-entropy of each row in nats, the mean over the classes, (N,); arguments as of ``evaluation_of``."""
    of_truth = np.where(targets, probabilities, 1 - probabilities)
    losses: Floats = -np.log(np.maximum(of_truth, np.finfo(np.float64).tiny)).mean(1)
    return losses


def plain(value: Any) -> float | None:
    """A number for JSON; None for one that is not defined."""
    return None if np.isnan(value) else float(value)


def average_precisions(probabilities: Floats, targets: Bools) -> Floats:
    """Average precision of each class: the mean, over its true rows, of the precision at the row's probability.

    Rows of equal probability are taken together.

    Args:
        probabilities: (N, C).
        targets: whether each class applies, (N, C).

    Returns:
        (C,), in [0, 1]; NaN for a class that applies to no row.

    Source: as scikit-learn's ``average_precision_score``, sum over thresholds of (R_n - R_{n-1}) P_n.
    """
    return np.array([average_precision(p, t) for p, t in zip(probabilities.T, targets.T, strict=True)])


def average_precision(scores: Floats, true: Bools) -> float:
    """Average precision of one class, from the score of each row, (N,), and whether it applies, (N,)."""
    if not true.any():
        return float("nan")
    _, hits, chosen = cumulative(scores, true)
    return float((hits / chosen) @ np.diff(hits, prepend=0) / hits[-1])


def cumulative(scores: Floats, true: Bools) -> tuple[Floats, Floats, Floats]:
    """The different scores, from high to low, and how many true rows and rows in all have at least that score."""
    different, inverse, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    hits = np.bincount(inverse, true, len(different))
    return -different, np.cumsum(hits, dtype=np.float64), np.cumsum(counts, dtype=np.float64)


def aurocs(probabilities: Floats, targets: Bools) -> Floats:
    """Area under the ROC curve of each class, (C,); NaN for a class that applies to no row, or to all."""
    columns = zip(probabilities.T, targets.T, strict=True)
    return np.array([auroc(p, t) if t.any() and not t.all() else np.nan for p, t in columns])


def best_thresholds(probabilities: Floats, targets: Bools) -> Floats:
    """The threshold of each class with the highest F1.

    It lies halfway between two neighbouring probabilities, or between the lowest one and 0. Of equally good thresholds
    the highest is taken. Without a row to which a class applies, it is 0.5.

    Args:
        probabilities: (N, C).
        targets: whether each class applies, (N, C).

    Returns:
        The thresholds, (C,).
    """
    columns = zip(probabilities.T, targets.T, strict=True)
    return np.array([best_threshold(scores, true) if true.any() else THRESHOLD for scores, true in columns])


def best_threshold(scores: Floats, true: Bools) -> float:
    """The threshold of one class, from the score of each row, (N,), and whether it applies, (N,), to at least one."""
    different, hits, chosen = cumulative(scores, true)
    best = int(np.argmax(2 * hits / (chosen + hits[-1])))  # the first, which is the highest
    below = different[best + 1] if best + 1 < len(different) else 0.0
    middle = (different[best] + below) / 2
    return float(middle if below < middle else different[best])
