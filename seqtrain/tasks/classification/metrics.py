"""Metrics of classification, computed on the CPU from the outputs of a whole split.

Shapes: N examples, C classes, M confidence bins.
"""

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.classification.statistics import macro_f1_of_means

MOST_CURVES = 20
"""Largest number of classes with a curve of precision against recall each."""


def classification_metrics(probabilities: NDArray[np.floating], targets: NDArray[np.integer]) -> dict[str, float]:
    """Accuracy, macro F1, area under the ROC curve and calibration error of predicted class probabilities.

    The predicted class is the most probable one; of equals, the one with the lowest index.

    Args:
        probabilities: probability of each class, (N, C), N at least 1, rows sum to 1.
        targets: true classes, (N,), in [0, C).

    Returns:
        All in [0, 1]: ``accuracy``; ``macro_f1``, the unweighted mean of F1 over the classes that occur in targets or
        predictions (F1 of a class that is never right is 0); ``calibration_error``; and, for two classes that both
        occur in targets, ``auroc`` of class 1.
    """
    predictions = probabilities.argmax(axis=1)
    metrics = {
        "accuracy": float(np.mean(predictions == targets)),
        "macro_f1": macro_f1(predictions, targets),
    }
    if probabilities.shape[1] == 2 and len(np.unique(targets)) == 2:
        metrics["auroc"] = auroc(probabilities[:, 1], targets == 1)
    metrics["calibration_error"] = calibration_error(probabilities, targets)
    return metrics


def macro_f1(predictions: NDArray[np.integer], targets: NDArray[np.integer]) -> float:
    """The unweighted mean over classes of F1, 2 right / (predicted + true).

    Args:
        predictions: predicted classes, (N,).
        targets: true classes, (N,).

    Returns:
        The mean over the classes that occur in either, in [0, 1]; as scikit-learn's, whose import takes seconds.
    """
    size = max(predictions.max(), targets.max()) + 1
    counted = (targets[predictions == targets], predictions, targets)
    counts = np.concatenate([np.bincount(classes, minlength=size) for classes in counted])
    return float(macro_f1_of_means(counts.astype(np.float64)))  # of counts as of shares


def class_scores(
    predictions: NDArray[np.integer], targets: NDArray[np.integer], class_names: list[str]
) -> dict[str, dict[str, float | int | None]]:
    """Precision, recall, F1 and support (number of rows) of each class by name.

    Args:
        predictions: predicted classes, (N,).
        targets: true classes, (N,).
        class_names: the C names.

    Returns:
        The scores. Precision is None for a class that is never predicted, recall for one without rows, and F1 for one
        that is both.
    """
    size = len(class_names)
    counted = (targets[predictions == targets], predictions, targets)
    counts = np.stack([np.bincount(classes, minlength=size) for classes in counted], axis=1)
    return {
        name: {
            "precision": hits / predicted if predicted else None,
            "recall": hits / support if support else None,
            "f1": 2 * hits / (predicted + support) if predicted + support else None,
            "support": support,
        }
        for name, (hits, predicted, support) in zip(class_names, counts.tolist(), strict=True)
    }


def class_curves(
    probabilities: NDArray[np.floating], true: NDArray[np.bool_], class_names: list[str]
) -> dict[str, tuple[NDArray[np.floating], NDArray[np.bool_]]]:
    """What precision is drawn against recall from, by tag: of each class, or of more than 20 together (micro average).

    Args:
        probabilities: probability of each class, (N, C).
        true: whether each row is of each class, (N, C).
        class_names: the C names.
    """
    if len(class_names) > MOST_CURVES:
        return {"precision_recall/all classes": (probabilities.ravel(), true.ravel())}
    columns = zip(class_names, probabilities.T, true.T, strict=True)
    return {f"precision_recall/{name}": (scores, flags) for name, scores, flags in columns}


def auroc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the share of pairs in which the positive example has a higher score than the negative.

    Args:
        scores: score of each example, (N,).
        positive: which examples are positive, (N,); some, but not all.

    Returns:
        The share of pairs in the right order, in [0, 1]; a pair of equal scores counts half (Mann-Whitney U).
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # from 1; equal scores share their mean rank
    num_positive, num_negative = positive.sum(), (~positive).sum()
    above = ranks[positive].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * num_negative))


def calibration_error(probabilities: NDArray[np.floating], targets: NDArray[np.integer], num_bins: int = 15) -> float:
    """Expected calibration error: the mean over examples of |accuracy - confidence| of their bin.

    Args:
        probabilities: probability of each class, (N, C).
        targets: true classes, (N,).
        num_bins: number M of equal-width confidence bins.

    Returns:
        The error, in [0, 1].

    Source: Naeini et al. 2015; Guo et al. 2017, eq. 3.
    """
    confidence, accuracy, counts = reliability_bins(probabilities, targets, num_bins)
    return float(counts @ np.abs(accuracy - confidence) / counts.sum())


def reliability_bins(
    probabilities: NDArray[np.floating], targets: NDArray[np.integer], num_bins: int = 15
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Group examples by confidence, the probability of their predicted class, into the bins ((m - 1) / M, m / M].

    Args:
        probabilities: probability of each class, (N, C).
        targets: true classes, (N,).
        num_bins: number M of equal-width bins.

    Returns:
        Mean confidence, accuracy, and number of examples per bin, (M,) each; an empty bin has 0 in all three.

    Source: Guo et al. 2017, section 2, "Reliability Diagrams".
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == targets
    inner_edges = np.linspace(0, 1, num_bins + 1)[1:-1]
    bins = np.digitize(confidence, inner_edges, right=True)
    counts = np.bincount(bins, minlength=num_bins)
    mean_confidence, accuracy = (
        np.bincount(bins, weights=values, minlength=num_bins) / np.maximum(counts, 1)
        for values in (confidence, correct)
    )
    return mean_confidence, accuracy, counts
