"""Baselines of multi-label classification of texts.

Shapes: N rows, V words and word pairs, C classes.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtrain.data.cache import cached, digest
from seqtrain.data.text.classification import TextClassification
from seqtrain.tasks.base import Evaluation
from seqtrain.tasks.classification.baselines import NB_REGRESSION, count_terms, nb_regression
from seqtrain.tasks.multilabel.metrics import THRESHOLD, best_thresholds, evaluation_of
from seqtrain.tasks.stored_baselines import read_baselines, write_baselines

Floats = NDArray[np.float64]


def scored_baselines(data: TextClassification, class_names: list[str]) -> dict[str, dict[str, Evaluation]]:
    """Scores of two baselines, fitted on train, on the other splits; cached by the data's fingerprint.

    Their thresholds are chosen on validation, as those of a model.
    """
    key = f"{data.fingerprint}-{digest(class_names)}-multilabel-1"  # the scores of each class stand under its name
    return read_baselines(cached("baselines", key, partial(fit_baselines, data, class_names)))


def fit_baselines(data: TextClassification, class_names: list[str], directory: Path) -> None:
    """Fit on train, score on the other splits, write what ``read_baselines`` reads."""
    splits = {split: data.labelled_split(split) for split in data.sizes if split != "train"}
    texts = {split: texts for split, (texts, _) in splits.items()}
    scored: dict[str, dict[str, Evaluation]] = {}
    for who, log_odds in baseline_log_odds(*data.labelled_split("train"), texts).items():
        probabilities = {split: 1 / (1 + np.exp(-values)) for split, values in log_odds.items()}
        thresholds = np.full(len(class_names), THRESHOLD)
        if "validation" in splits:
            thresholds = best_thresholds(probabilities["validation"], splits["validation"][1])
        scored[who] = {
            split: evaluation_of(
                probabilities[split], losses(values, splits[split][1]), splits[split][1], thresholds, class_names
            )
            for split, values in log_odds.items()
        }
    write_baselines(directory, scored)


def losses(log_odds: Floats, targets: NDArray[np.bool_]) -> Floats:
    """Binary cross-entropy of each row in nats, the mean over classes, (N,), from log-odds (N, C)."""
    means: Floats = np.logaddexp(0, np.where(targets, -log_odds, log_odds)).mean(1)
    return means


def baseline_log_odds(
    train_texts: list[str], applies: NDArray[np.bool_], splits: dict[str, list[str]]
) -> dict[str, dict[str, Floats]]:
    """Fit two baselines on the training texts, and predict the labels of the texts of every split.

    - ``class frequencies``: those of train, whatever the text, as (n + 1/2) / (N + 1) of n among N rows, so that no
      label is certain.
    - ``NB-weighted 1-2-gram logistic regression``: one for each class, against all rows without it. A class that
      applies to all rows, and one of which nothing can be learned, has its frequency.

    Args:
        train_texts: the N texts to fit on, at least 1.
        applies: whether each class applies to each of them, (N, C).
        splits: texts to classify, by name of the split.

    Returns:
        Log-odds (N, C) by baseline and split.
    """
    counts, split_counts, _ = count_terms(train_texts, splits)
    present = applies.sum(0)
    frequencies: Floats = np.log(present + 0.5) - np.log(len(applies) - present + 0.5)
    learned = np.flatnonzero((present > 0) & (present < len(applies)) & (counts.shape[1] > 0))
    regression = nb_regression(counts, applies[:, learned]) if len(learned) else None

    def constant(counts: Any) -> Floats:
        return np.tile(frequencies, (counts.shape[0], 1))

    def regressed(counts: Any) -> Floats:
        scores = constant(counts)
        if regression is not None:
            scores[:, learned] = regression(counts)
        return scores

    predictors = {"class frequencies": constant, NB_REGRESSION: regressed}
    return {who: {split: predict(split_counts[split]) for split in splits} for who, predict in predictors.items()}
