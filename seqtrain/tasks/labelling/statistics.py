"""Statistics of sequence labelling: an example is a sequence, since its steps depend on each other.

Shapes: N sequences.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtrain.data.tags.entities import EntityTags
from seqtrain.tasks.statistics import (
    Floats,
    Metric,
    Options,
    Outputs,
    Spec,
    Statistic,
    TaskStatistics,
    mean_of,
    paired,
    ratio,
    share,
)


def per_sequence(values: NDArray[Any], outputs: Outputs) -> Floats:
    """Sums over the steps of each sequence, (N,), of concatenated values; no sequence is empty."""
    starts = np.concatenate([[0], np.cumsum(outputs["lengths"])[:-1]])
    return np.add.reduceat(values.astype(np.float64), starts)


def label_cross_entropy(outputs: Outputs, spec: Spec) -> Statistic:
    """Loss: negative log-probability of the true label, in nats per step."""
    return ratio(per_sequence(-outputs["log_probabilities"], outputs), outputs["lengths"])


def label_accuracy(outputs: Outputs, spec: Spec) -> Statistic:
    """Accuracy: share of steps with the correct label."""
    return ratio(per_sequence(np.equal(*paired(outputs)), outputs), outputs["lengths"])


def sequence_accuracy(outputs: Outputs, spec: Spec) -> Statistic:
    """Share of sequences in which every label is correct."""
    return mean_of(per_sequence(np.not_equal(*paired(outputs)), outputs) == 0)


def entity_f1(outputs: Outputs, spec: Spec) -> Statistic:
    """F1 of entities: 2 * correct / (predicted + true)."""
    tags = EntityTags.of(spec["class_names"])
    if tags is None:
        raise KeyError("tags of entities")
    predicted, true = (tags.find(side, outputs["lengths"]) for side in paired(outputs))
    hits = per_sequence(2 * predicted.shared(true), outputs)
    return ratio(hits, per_sequence(predicted.starts, outputs) + per_sequence(true.starts, outputs))


def scored_length(spec: Spec, options: Options) -> dict[str, str]:
    """``data.max_length``, since later steps are not scored."""
    key = "data.max_length"
    return {key: str(options[key])} if key in options else {}


STATISTICS = TaskStatistics(
    "sequences",
    {
        "loss": Metric(label_cross_entropy, unit="nats per step"),
        "accuracy": share("accuracy", label_accuracy),
        "sequence_accuracy": share("sequence_accuracy", sequence_accuracy),
        "entity_f1": share("entity_f1", entity_f1),
        "entity_precision": share("entity_precision"),
        "entity_recall": share("entity_recall"),
    },
    must_agree=scored_length,
    about={
        "sequence_accuracy": "Share of sequences without any wrong label: more is better.",
        "entity_f1": "F1 of whole entities, bounds and kind: more is better.",
        "entity_precision": "Share of predicted entities that are right: more is better.",
        "entity_recall": "Share of true entities that are found: more is better.",
    },
)
