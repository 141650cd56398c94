"""What a classifier gets wrong, and where two differ, on constructed probabilities."""

import numpy as np
import pytest

from seqtrain.tasks.classification.errors import Predictions, confusion_differences, confusions
from seqtrain.tasks.classification.statistics import right_of_class
from seqtrain.tasks.group_differences import group_differences

PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.05, 0.9, 0.05], [0.2, 0.2, 0.6], [0.3, 0.6, 0.1], [0.99, 0.005, 0.005]]
)
TARGETS = np.array([0, 1, 0, 2, 0, 2])


def made(guesses: list[int], targets: list[int]) -> Predictions:
    """Predictions of three classes with probability 0.8."""
    return Predictions(np.where(np.eye(3)[guesses] > 0, 0.8, 0.1), np.array(targets))


def test_the_most_confident_errors_and_the_hardest_rows_come_first() -> None:
    found = Predictions(PROBABILITIES, TARGETS)
    assert found.wrong.tolist() == [False, False, True, False, True, True]
    assert found.confident_errors(9).tolist() == [5, 2, 4] and found.confident_errors(2).tolist() == [5, 2]
    assert found.losses[5] == pytest.approx(-np.log(0.005))
    assert found.hardest(3).tolist() == [5, 2, 4]
    assert found.easiest(1).tolist() == [1, 0, 3]  # one row of each class
    assert found.easiest(2).tolist() == [1, 0, 4, 3, 5]


def test_confusions_are_counted() -> None:
    found = Predictions(PROBABILITIES, TARGETS)
    assert found.counts().tolist() == [[1, 2, 0], [0, 1, 0], [1, 0, 1]]
    true, predicted = confusions(found.counts())
    assert list(zip(true.tolist(), predicted.tolist(), strict=True)) == [(0, 1), (2, 0)]


def test_confusions_that_differ() -> None:
    targets = [0] * 40 + [1] * 20
    first = made([1] * 20 + [0] * 20 + [1] * 20, targets)
    second = made([1] * 4 + [2] * 4 + [0] * 32 + [1] * 19 + [0], targets)
    found = confusion_differences(first, second)
    assert [(each.true, each.predicted, each.first, each.second) for each in found] == [
        (0, 1, 20, 4),
        (0, 2, 0, 4),
        (1, 0, 0, 1),
    ]
    assert found[0].value == pytest.approx(16 / 40) and [each.shown for each in found] == [True, False, False]


def test_intervals_of_paired_shares_are_those_of_agresti_and_min() -> None:
    """With b rows that only the first has right and c that only the second has: (b - c) / (n + 2), and its error."""
    n, b, c = 30, 8, 2
    differences = np.array([1.0] * b + [-1.0] * c + [0.0] * (n - b - c))
    found = group_differences(np.concatenate([differences, [0.0]]), np.array([1] * n + [2]), 3)
    centre = (b - c) / (n + 2)
    half = 1.959964 * np.sqrt((b + c + 1) - (b - c) ** 2 / (n + 2)) / (n + 2)
    assert found.value[1] == pytest.approx((b - c) / n)
    assert [found.lower[1], found.upper[1]] == pytest.approx([centre - half, centre + half], rel=1e-5)
    assert found.value[2] == 0 and found.lower[2] < -0.5 and found.upper[2] > 0.5 and not found.shown[2]


def test_intervals_cover_the_true_difference() -> None:
    """Nominally 95 %; of small groups a little more."""
    rng, covered, repetitions = np.random.default_rng(0), 0, 2000
    groups = np.repeat(np.arange(repetitions), 25)
    first, second = (rng.random(len(groups)) < share for share in (0.8, 0.7))
    found = group_differences(first.astype(float) - second, groups, repetitions)
    covered = int(((found.lower <= 0.1) & (found.upper >= 0.1)).sum())
    assert 0.94 < covered / repetitions < 0.99


def test_right_rows_need_names() -> None:
    outputs = {"probabilities": PROBABILITIES, "targets": TARGETS}
    right, targets, names = right_of_class(outputs, {"class_names": ["a", "b", "c"]})
    assert right.tolist() == [True, True, False, True, False, False] and names == ["a", "b", "c"]
    with pytest.raises(KeyError, match="names of classes"):
        right_of_class(outputs, {"class_names": ["a", "b"]})
