"""Scores against scikit-learn, and thresholds against trying all of them."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from seqtrain.tasks.multilabel.baselines import losses
from seqtrain.tasks.multilabel.figures import classes_figure
from seqtrain.tasks.multilabel.metrics import best_threshold, best_thresholds, evaluation_of
from seqtrain.tasks.multilabel.statistics import STATISTICS

NAMES = ["a", "b", "never", "always", "rare"]
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(params=[0, 1, 2])
def arrays(request: pytest.FixtureRequest) -> Arrays:
    """Probabilities with ties, losses and targets of 60 rows; a class without a row, one with all, one with one."""
    rng = np.random.default_rng(request.param)
    log_odds = rng.normal(size=(60, 5)).round(1)
    targets = rng.random((60, 5)) < 1 / (1 + np.exp(-log_odds))
    targets[:, 2:4] = [False, True]
    targets[:, 4] = np.arange(60) == 17
    return 1 / (1 + np.exp(-log_odds)), losses(log_odds, targets), targets


def test_scores_are_scikit_learns(arrays: Arrays) -> None:
    probabilities, nats, targets = arrays
    thresholds = np.array([0.5, 0.3, 0.9, 0.6, 0.1])
    result = evaluation_of(probabilities, nats, targets, thresholds, NAMES)
    chosen = probabilities >= thresholds
    mixed = [0, 1, 4]
    expected = {
        "loss": np.mean([log_loss(targets[:, c], probabilities[:, c], labels=[False, True]) for c in range(5)]),
        "micro_f1": f1_score(targets, chosen, average="micro", zero_division=0),
        "macro_f1": f1_score(targets, chosen, average="macro", zero_division=0),
        "subset_accuracy": accuracy_score(targets, chosen),
        "mean_average_precision": average_precision_score(targets[:, [*mixed, 3]], probabilities[:, [*mixed, 3]]),
        "mean_auroc": roc_auc_score(targets[:, mixed], probabilities[:, mixed]),
    }
    assert result.metrics == pytest.approx(expected)
    scores = precision_recall_fscore_support(targets, chosen, zero_division=0)
    for c, name in enumerate(NAMES):
        details = result.details["classes"][name]
        assert [details[key] for key in ("precision", "recall", "f1", "support")] == pytest.approx(
            [score[c] for score in scores]
        )
        assert details["threshold"] == thresholds[c]
        assert (details["auroc"] is None) == (c not in mixed) and (details["average_precision"] is None) == (c == 2)
        if c in mixed:
            assert details["auroc"] == pytest.approx(roc_auc_score(targets[:, c], probabilities[:, c]))
            expected_precision = average_precision_score(targets[:, c], probabilities[:, c])
            assert details["average_precision"] == pytest.approx(expected_precision)


def test_scores_of_resamples_are_scikit_learns(arrays: Arrays) -> None:
    probabilities, nats, targets = arrays
    result = evaluation_of(probabilities, nats, targets, np.full(5, 0.5), NAMES)
    rows = np.random.default_rng(0).integers(0, 60, size=40)
    chosen, true = result.outputs["predictions"][rows], targets[rows]
    for metric, expected in {
        "loss": nats[rows].mean(),
        "micro_f1": f1_score(true, chosen, average="micro", zero_division=0),
        "macro_f1": f1_score(true, chosen, average="macro", zero_division=0),
        "subset_accuracy": accuracy_score(true, chosen),
    }.items():
        make = STATISTICS.metrics[metric].statistic
        assert make is not None
        statistic = make(result.outputs, {})
        assert statistic.value() == pytest.approx(result.metrics[metric])
        assert statistic.scores(statistic.terms[rows].mean(axis=0)) == pytest.approx(expected), metric


def test_nothing_true_and_nothing_chosen() -> None:
    none = np.zeros((4, 2), dtype=bool)
    result = evaluation_of(np.full((4, 2), 0.1), np.full(4, 0.1), none, np.full(2, 0.5), ["a", "b"])
    assert result.metrics == pytest.approx({"loss": 0.1, "micro_f1": 0, "macro_f1": 0, "subset_accuracy": 1})


def test_losses_of_certain_logits_are_finite() -> None:
    log_odds = np.array([[800.0, -800.0], [-800.0, 800.0]])
    targets = np.array([[True, False], [True, False]])
    assert losses(log_odds, targets).tolist() == [0, 800]


def test_thresholds_have_the_highest_f1(arrays: Arrays) -> None:
    probabilities, _, targets = arrays
    found = best_thresholds(probabilities, targets)
    for c in range(5):
        if c == 2:
            assert found[c] == 0.5  # nothing to choose by
            continue
        scores = {
            t: f1_score(targets[:, c], probabilities[:, c] >= t) for t in [0, *(np.unique(probabilities[:, c]) + 1e-9)]
        }
        reached = f1_score(targets[:, c], probabilities[:, c] >= found[c])
        assert reached == pytest.approx(max(scores.values()))
        assert np.abs(probabilities[:, c] - found[c]).min() > 1e-6  # between two, so that rounding changes nothing
        higher = probabilities[:, c].max() + 1 if c == 3 else found[c] + 0.05
        assert f1_score(targets[:, c], probabilities[:, c] >= higher, zero_division=0) <= reached


def test_threshold_worked_by_hand() -> None:
    scores, true = np.array([0.9, 0.8, 0.6, 0.5, 0.2]), np.array([True, False, True, False, False])
    assert best_threshold(scores, true) == pytest.approx(0.55)  # F1 0.8, of 0.9, 0.8, 0.6
    assert best_threshold(np.array([0.9, 0.1]), np.array([True, False])) == pytest.approx(0.5)
    assert best_threshold(np.array([0.4, 0.4]), np.array([True, False])) == pytest.approx(0.2)
    # F1 is 2/3 from 0.9 and from 0.3: the higher one is taken
    assert best_threshold(np.array([0.9, 0.5, 0.4, 0.3]), np.array([True, False, False, True])) == pytest.approx(0.7)
    close = np.array([np.nextafter(0.5, 1), 0.5])
    assert best_threshold(close, np.array([True, False])) == close[0]


def test_the_figure_of_the_classes(arrays: Arrays) -> None:
    probabilities, nats, targets = arrays
    details = evaluation_of(probabilities, nats, targets, np.full(5, 0.5), NAMES).details["classes"]
    (axes,) = classes_figure(details).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "always (60)" and labels[-1] == "never (0)" and len(axes.patches) == 5
    assert [bar.get_width() for bar in axes.patches] == [details[label.split()[0]]["f1"] for label in labels]  # type: ignore[attr-defined]
    many = {f"$class_{i}$": details["a"] for i in range(90)}
    (axes,) = classes_figure(many).axes
    assert len(axes.patches) == 60 and "of 90 classes" in axes.get_title()
