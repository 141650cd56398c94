import subprocess
import sys

import numpy as np
import pytest

from seqtrain.tasks.classification.metrics import (
    calibration_error,
    class_curves,
    class_scores,
    classification_metrics,
    reliability_bins,
)


def one_hot(classes: list[int], num_classes: int) -> np.ndarray:
    return np.eye(num_classes)[classes]


def random_case(num_classes: int, size: int = 500, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(num_classes)
    probabilities = generator.dirichlet(np.full(num_classes, 0.5), size)
    return probabilities.astype(dtype), generator.integers(0, num_classes, size)


def test_macro_f1_averages_over_the_classes_that_occur() -> None:
    targets = np.array([0, 0, 0, 1, 1, 2])
    probabilities = one_hot([0, 0, 1, 1, 0, 3], num_classes=5)
    metrics = classification_metrics(probabilities, targets)
    # Class 0: 2 right, 1 false, 1 missed. Class 1: 1, 1, 1. Class 2: only missed. Class 3: only false. Class 4: none.
    assert metrics["macro_f1"] == pytest.approx((4 / 6 + 2 / 4 + 0 + 0) / 4)
    assert metrics["accuracy"] == 0.5


def test_calibration_error_of_a_worked_example() -> None:
    confidence = np.array([0.94, 0.96, 0.61, 0.62, 0.63])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    targets = np.array([0, 1, 0, 0, 1])
    # Bin (14/15, 1]: confidence 0.95, accuracy 1/2. Bin (9/15, 10/15]: confidence 0.62, accuracy 2/3.
    expected = (2 * 0.45 + 3 * (2 / 3 - 0.62)) / 5
    assert expected == pytest.approx(0.208)
    assert calibration_error(probabilities, targets) == pytest.approx(0.208)
    assert classification_metrics(probabilities, targets)["calibration_error"] == pytest.approx(0.208)


@pytest.mark.parametrize("num_classes", [2, 7])
def test_calibration_error_equals_a_loop_over_the_bins(num_classes: int) -> None:
    probabilities, targets = random_case(num_classes)
    confidence, correct = probabilities.max(1).astype(float), probabilities.argmax(1) == targets
    expected = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            expected += inside.sum() / len(targets) * abs(correct[inside].mean() - confidence[inside].mean())
    assert calibration_error(probabilities, targets) == pytest.approx(expected, rel=1e-9)


def test_bins_are_closed_above_and_empty_ones_are_zero() -> None:
    probabilities = np.array([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75], [0.0, 1.0]])
    confidence, accuracy, counts = reliability_bins(probabilities, np.array([1, 0, 1, 0]), num_bins=4)
    assert counts.tolist() == [0, 1, 1, 2]  # 0.5 ends the second bin, 0.75 the third, 1 the fourth
    assert confidence.tolist() == [0, 0.5, 0.75, 1]
    assert accuracy.tolist() == [0, 0, 1, 0.5]  # a tie goes to the lower class, here the wrong one


def test_auroc_counts_the_pairs_in_the_right_order() -> None:
    scores = np.array([0.9, 0.4, 0.4, 0.7, 0.1, 0.6])
    targets = np.array([1, 1, 0, 0, 0, 1])
    pairs = scores[targets == 1][:, None] - scores[targets == 0]
    expected = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    metrics = classification_metrics(np.stack([1 - scores, scores], axis=1), targets)
    assert metrics["auroc"] == pytest.approx(expected) == pytest.approx(6.5 / 9)


@pytest.mark.parametrize("num_classes", [2, 3, 9])
def test_f1_and_auroc_are_those_of_scikit_learn(num_classes: int) -> None:
    from sklearn.metrics import f1_score, roc_auc_score

    for size in (2, 30, 500):
        probabilities, targets = random_case(num_classes, size)
        probabilities, targets[:2] = probabilities.round(1), [0, 1]  # with ties, and both classes
        metrics = classification_metrics(probabilities, targets)
        predicted = probabilities.argmax(1)
        expected = f1_score(targets, predicted, average="macro", zero_division=0)
        assert metrics["macro_f1"] == pytest.approx(expected, abs=1e-12)
        if num_classes == 2:
            assert metrics["auroc"] == pytest.approx(roc_auc_score(targets, probabilities[:, 1]), abs=1e-12)


@pytest.mark.parametrize("num_classes, targets", [(2, [0, 0, 0]), (2, [1, 1, 1]), (3, [0, 1, 1])])
def test_auroc_is_left_out_where_it_is_undefined(num_classes: int, targets: list[int]) -> None:
    probabilities, _ = random_case(num_classes, size=3)
    metrics = classification_metrics(probabilities, np.array(targets))
    assert set(metrics) == {"accuracy", "macro_f1", "calibration_error"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("num_classes", [1, 2, 5])
def test_metrics_are_plain_floats_from_zero_to_one(num_classes: int, dtype: type) -> None:
    metrics = classification_metrics(*random_case(num_classes, dtype=dtype))
    assert all(type(value) is float and 0 <= value <= 1 for value in metrics.values())


def test_perfect_predictions() -> None:
    metrics = classification_metrics(one_hot([0, 1, 1], 2), np.array([0, 1, 1]))
    assert metrics == {"accuracy": 1.0, "macro_f1": 1.0, "auroc": 1.0, "calibration_error": 0.0}


def test_importing_costs_neither_scikit_learn_nor_torch() -> None:
    code = (
        "import sys; from seqtrain.tasks.classification import baselines, figures, metrics; "
        "print(sorted({'sklearn', 'scipy', 'matplotlib', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scores_of_each_class_equal_scikit_learns() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    rng = np.random.default_rng(0)
    targets, predictions = rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    names = ["a", "b", "c", "d"]
    found = class_scores(predictions, targets, names)
    expected = precision_recall_fscore_support(targets, predictions, labels=range(4))
    for place, name in enumerate(names):
        assert list(found[name].values()) == pytest.approx([column[place] for column in expected])


def test_scores_of_a_class_that_is_missing_are_not_defined() -> None:
    found = class_scores(np.array([0, 0, 1]), np.array([0, 2, 0]), ["a", "never true", "never found", "neither"])
    assert found["a"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert found["never true"] == {"precision": 0, "recall": None, "f1": 0, "support": 0}
    assert found["never found"] == {"precision": None, "recall": 0, "f1": 0, "support": 1}
    assert found["neither"] == {"precision": None, "recall": None, "f1": None, "support": 0}


def test_a_few_classes_have_curves_of_their_own_and_many_have_one() -> None:
    probabilities, targets = random_case(3, 50)
    true = targets[:, None] == np.arange(3)
    curves = class_curves(probabilities, true, ["a", "b", "c"])
    assert list(curves) == [f"precision_recall/{name}" for name in "abc"]
    scores, flags = curves["precision_recall/b"]
    assert scores.tolist() == probabilities[:, 1].tolist() and flags.tolist() == (targets == 1).tolist()
    many, targets = random_case(21, 50)
    (curve,) = class_curves(many, targets[:, None] == np.arange(21), [str(c) for c in range(21)]).values()
    assert curve[0].shape == (50 * 21,) and curve[1].sum() == 50
