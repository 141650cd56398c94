import re
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from seqtrain.tasks.classification.baselines import (
    Labels,
    baseline_probabilities,
    count_terms,
    fit_naive_bayes,
    fit_nb_regression,
    log_count_ratio,
)
from seqtrain.tasks.classification.metrics import classification_metrics

NAMES = ["majority class", "naive Bayes", "NB-weighted 1-2-gram logistic regression"]


def classification_baselines(
    train_texts: list[str],
    train_labels: Labels,
    num_classes: int,
    splits: dict[str, tuple[list[str], Labels]],
) -> dict[str, dict[str, dict[str, float]]]:
    """Metrics (see ``classification_metrics``) by baseline and split of what ``baseline_probabilities`` predicts.

    Args:
        train_texts: the N texts to fit on, at least 1.
        train_labels: their classes, (N,), in [0, C).
        num_classes: number C of classes.
        splits: texts and classes to measure on, by name of the split.
    """
    texts = {name: texts for name, (texts, _) in splits.items()}
    predicted = baseline_probabilities(train_texts, train_labels, num_classes, texts)
    return {
        baseline: {name: classification_metrics(each[name], labels) for name, (_, labels) in splits.items()}
        for baseline, each in predicted.items()
    }


def corpus(size: int, num_classes: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Texts of 6 terms, each class with its own frequencies; class k has about k + 1 shares of the texts."""
    terms = ["good", "Bad", "film", "plot", ",", "!", "a", "the", "GOOD", "dull"]
    frequencies = np.random.default_rng(1).dirichlet(np.full(len(terms), 0.6), num_classes)
    generator = np.random.default_rng(seed)
    shares = np.arange(1, num_classes + 1)
    labels = generator.choice(num_classes, size, p=shares / shares.sum())
    return [" ".join(generator.choice(terms, 6, p=frequencies[label])) for label in labels], labels


def terms_of(text: str) -> list[str]:
    words = re.findall(r"\w+|[^\w\s]", text.lower())
    return words + [f"{left} {right}" for left, right in pairwise(words)]


def dense_counts(texts: list[str], vocabulary: list[str]) -> np.ndarray:
    return np.array([[terms_of(text).count(term) for term in vocabulary] for text in texts], dtype=np.float64)


def vocabulary_of(texts: list[str]) -> list[str]:
    every = sorted({term for text in texts for term in terms_of(text)})
    return [term for term in every if sum(term in terms_of(text) for text in texts) >= 2]


def dense_nb_regression(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """One-vs-rest on dense float64, by L-BFGS; the bias is penalised like a weight, as in liblinear."""
    columns = []
    for label in range(labels.max() + 1):
        sign = np.where(labels == label, 1.0, -1.0)
        p, q = 1 + (train[sign > 0] > 0).sum(0), 1 + (train[sign < 0] > 0).sum(0)
        ratio = np.log((p / p.sum()) / (q / q.sum()))
        features, test_features = (
            np.hstack([(counts > 0) * ratio, np.ones((len(counts), 1))]) for counts in (train, test)
        )

        def loss(w: np.ndarray, x: np.ndarray = features, sign: np.ndarray = sign) -> tuple[float, np.ndarray]:
            margin = sign * (x @ w)
            return w @ w / 2 + np.logaddexp(0, -margin).sum(), w - x.T @ (sign * expit(-margin))

        weights = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", tol=1e-12).x
        columns.append(expit(test_features @ weights))
    scores = np.stack(columns, axis=1)
    return scores / scores.sum(axis=1, keepdims=True)


def test_log_count_ratio_of_a_worked_example() -> None:
    presence = np.array([[1, 0], [1, 1], [0, 1]])
    ratio = log_count_ratio(presence, np.array([True, True, False]))
    # p = 1 + (2, 1), q = 1 + (0, 1): log of 3/5 over 1/3, and of 2/5 over 2/3.
    assert ratio == pytest.approx(np.log([9 / 5, 3 / 5]))


def test_terms_are_counted_as_by_hand() -> None:
    train, test = ["A film, a FILM", "a film!", "dull !"], ["a a film ?", "unknown"]
    counts, splits, is_word = count_terms(train, {"test": test})
    vocabulary = ["!", "a", "a film", "film"]  # in at least two texts
    assert vocabulary_of(train) == vocabulary
    assert counts.toarray().tolist() == [[0, 2, 2, 2], [1, 1, 1, 1], [1, 0, 0, 0]]
    assert splits["test"].toarray().tolist() == [[0, 2, 1, 1], [0, 0, 0, 0]]
    assert is_word.tolist() == [True, True, False, True]
    assert counts.dtype == np.float32


@pytest.mark.parametrize("num_classes", [2, 3])
def test_regression_equals_a_dense_float64_one(num_classes: int) -> None:
    train, labels = corpus(60, num_classes, seed=0)
    test, _ = corpus(20, num_classes, seed=1)
    vocabulary = vocabulary_of(train)
    counts, splits, _ = count_terms(train, {"test": test})
    dense = dense_counts(train, vocabulary)
    assert np.array_equal(counts.toarray(), dense)
    probabilities = fit_nb_regression(counts, labels, num_classes)(splits["test"])
    expected = dense_nb_regression(dense, labels, dense_counts(test, vocabulary))
    assert np.abs(probabilities - expected).max() < 1e-3
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(20))


def test_naive_bayes_equals_a_dense_one_on_words() -> None:
    train, labels = corpus(60, 3, seed=0)
    test, _ = corpus(20, 3, seed=1)
    counts, splits, is_word = count_terms(train, {"test": test})
    words = [term for term in vocabulary_of(train) if " " not in term]
    smoothed = 1 + np.stack([dense_counts(train, words)[labels == label].sum(0) for label in range(3)])
    joint = dense_counts(test, words) @ np.log(smoothed / smoothed.sum(1, keepdims=True)).T
    joint += np.log(np.bincount(labels) / len(labels))
    expected = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    assert fit_naive_bayes(counts, is_word, labels, 3)(splits["test"]) == pytest.approx(expected, rel=1e-5)


def test_every_baseline_is_measured_on_every_split() -> None:
    train, test = corpus(300, 3, seed=0), corpus(200, 3, seed=1)
    results = classification_baselines(*train, 3, {"train": train, "test": test})
    assert list(results) == NAMES
    assert all(list(splits) == ["train", "test"] for splits in results.values())
    priors = np.bincount(train[1]) / 300
    assert results[NAMES[0]]["test"] == classification_metrics(np.tile(priors, (200, 1)), test[1])
    assert results[NAMES[0]]["train"]["calibration_error"] == pytest.approx(0)
    assert results[NAMES[0]]["test"]["accuracy"] + 0.1 < results[NAMES[1]]["test"]["accuracy"]
    assert results[NAMES[0]]["test"]["accuracy"] + 0.1 < results[NAMES[2]]["test"]["accuracy"]
    assert results == classification_baselines(*train, 3, {"train": train, "test": test})


def test_word_pairs_tell_what_words_cannot() -> None:
    texts, labels = ["good not bad", "bad not good"] * 10, np.array([0, 1] * 10)
    results = classification_baselines(texts, labels, 2, {"test": (texts, labels)})
    assert results["naive Bayes"]["test"]["accuracy"] == 0.5
    assert results[NAMES[2]]["test"]["accuracy"] == 1.0


@pytest.mark.parametrize("num_classes, present", [(4, [0, 3]), (5, [0, 2, 3])])
def test_a_class_absent_from_train_gets_probability_zero(num_classes: int, present: list[int]) -> None:
    texts, labels = corpus(60, len(present), seed=0)
    labels = np.array(present)[labels]
    counts, splits, is_word = count_terms(texts, {"test": ["good film !", "unheard-of"]})
    absent = [label for label in range(num_classes) if label not in present]
    for predict in (
        fit_naive_bayes(counts, is_word, labels, num_classes),
        fit_nb_regression(counts, labels, num_classes),
    ):
        probabilities = predict(splits["test"])
        assert probabilities.shape == (2, num_classes)
        assert (probabilities[:, absent] == 0).all()
        assert probabilities.sum(axis=1) == pytest.approx(np.ones(2))
    results = classification_baselines(
        texts, labels, num_classes, {"test": (["good"] * num_classes, np.arange(num_classes))}
    )
    assert [splits["test"]["accuracy"] for splits in results.values()] == [1 / num_classes] * 3


@pytest.mark.parametrize(
    "texts, labels",
    [
        (["", " \n ", "\t"], [0, 1, 1]),  # no term at all
        (["one", "two", "three"], [0, 1, 1]),  # no term twice
        (["a film", "a film", "a plot"], [1, 1, 1]),  # one class only
    ],
)
def test_where_nothing_can_be_learned_the_class_frequencies_stand(texts: list[str], labels: list[int]) -> None:
    splits = {"test": (["a film", "", "x"], np.array([1, 0, 1])), "train": (texts, np.array(labels))}
    results = classification_baselines(texts, np.array(labels), 3, splits)
    assert list(results) == NAMES
    assert results[NAMES[1]] == results[NAMES[2]] == results[NAMES[0]]
    assert results[NAMES[0]]["test"]["accuracy"] == pytest.approx(2 / 3)
