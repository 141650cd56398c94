"""Baselines of series against plain references."""

import logging
from itertools import combinations

import numpy as np
import pytest

from seqtrain.tasks.classification import series_baselines
from seqtrain.tasks.classification.minirocket import KERNELS, MiniRocket, bounds, dilations_for
from seqtrain.tasks.classification.series_baselines import (
    DTW,
    EUCLIDEAN,
    MAJORITY,
    MINIROCKET,
    baseline_probabilities,
    squared_distances,
    warped_distances,
)
from tests.archives import waves


def split(count: int, seed: int, **options: int | bool) -> tuple[list[np.ndarray], np.ndarray]:
    found = waves(count, seed, **options)  # type: ignore[arg-type]
    names = ["low", "mid", "high"]
    return [values.astype(np.float32) for values, _ in found], np.array([names.index(label) for _, label in found])


def warping_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Dynamic time warping by its recurrence, (T, D) and (S, D)."""
    costs = np.full((len(a) + 1, len(b) + 1), np.inf)
    costs[0, 0] = 0
    for i, j in np.ndindex(len(a), len(b)):
        least = min(costs[i, j], costs[i, j + 1], costs[i + 1, j])
        costs[i + 1, j + 1] = np.square(a[i].astype(float) - b[j]).sum() + least
    return float(np.sqrt(costs[-1, -1]))


def test_distances_of_unequal_lengths() -> None:
    (train, _), (test, _) = split(5, 1, unequal=True, features=2), split(3, 2, unequal=True, features=2)
    found = squared_distances(test, train)
    for i, j in np.ndindex(3, 5):
        shared = min(len(test[i]), len(train[j]))
        expected = np.square(test[i][:shared] - train[j][:shared]).sum() / shared
        assert found[i, j] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("features", [1, 3])
def test_warping(features: int) -> None:
    pytest.importorskip("dtaidistance")
    (train, _), (test, _) = split(4, 1, unequal=True, features=features), split(3, 2, unequal=True, features=features)
    found = warped_distances(test, train)
    for i, j in np.ndindex(3, 4):
        assert found[i, j] == pytest.approx(warping_distance(test[i], train[j]), rel=1e-6)


def test_kernels_and_dilations_are_those_of_the_paper() -> None:
    assert KERNELS.shape == (84, 9) and (KERNELS.sum(1) == 0).all() and {tuple(row) for row in KERNELS.tolist()} == {
        tuple(2.0 if i in chosen else -1.0 for i in range(9)) for chosen in combinations(range(9), 3)}  # fmt: skip
    dilations, counts = dilations_for(150)
    assert counts.sum() == 119 and dilations[0] == 1 and dilations[-1] <= 149 / 8 and (np.diff(dilations) > 0).all()


@pytest.mark.parametrize("features", [1, 3])
def test_shares_of_steps_worked_by_hand(features: int) -> None:
    series, _ = split(6, 1, unequal=True, features=features, length=30)
    transform = MiniRocket(series)
    found = transform.transform(series)
    assert found.shape == (6, 84 * 119) and found.min() >= 0 and found.max() <= 1
    np.testing.assert_allclose(found[2:4], transform.transform(series[2:4]))  # whatever the other rows
    values = series[3]
    place = 0
    for number, dilation in enumerate(transform.dilations.tolist()):
        count = transform.biases[number].shape[1]
        for kernel in (0, 17, 83):
            weights = transform.weights[number][kernel]
            wide = np.pad(values, ((4 * dilation, 4 * dilation), (0, 0)))
            convolved = np.sum([wide[k * dilation :][: len(values)] @ weights[:, k] for k in range(9)], axis=0)
            first, end = bounds(number, kernel, dilation, len(values))
            biases = transform.biases[number][kernel]
            near = np.abs(convolved[first:end, None] - biases).min(0) < 1e-4
            expected = (convolved[first:end, None] > biases).mean(0)
            own = found[3, place + kernel * count : place + (kernel + 1) * count]
            np.testing.assert_allclose(own[~near], expected[~near], atol=1e-6)
        place += 84 * count


@pytest.mark.parametrize("options", [{}, {"unequal": True, "features": 2}])
def test_learnable_classes_are_learned(options: dict[str, int | bool]) -> None:
    (train, labels), (test, truth) = split(45, 1, **options), split(30, 2, **options)
    found = baseline_probabilities(train, labels, 4, {"test": test})
    assert {MAJORITY, EUCLIDEAN, MINIROCKET} <= found.keys() <= {MAJORITY, EUCLIDEAN, DTW, MINIROCKET}
    for who, splits in found.items():
        probabilities = splits["test"]
        assert probabilities.shape == (30, 4)
        np.testing.assert_allclose(probabilities.sum(1), 1)
        assert (probabilities[:, 3] == 0).all()  # train has no row of the last class
        accuracy = float((probabilities.argmax(1) == truth).mean())
        assert accuracy > 0.9 if who == MINIROCKET else accuracy >= 1 / 3, who


def test_two_classes_and_few_rows() -> None:
    train, labels = split(4, 1, length=5)
    found = baseline_probabilities(train, labels % 2, 2, {"validation": train[:1], "test": train[1:]})
    assert found[MINIROCKET]["test"].shape == (3, 2) and found[EUCLIDEAN]["test"].argmax(1).tolist() == [1, 0, 0]
    assert found[MAJORITY]["validation"].tolist() == [[0.75, 0.25]]


def test_what_takes_minutes_is_left_out_with_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    train, labels = split(9, 1)
    monkeypatch.setattr(series_baselines, "MOST", {EUCLIDEAN: 1e9, DTW: 1, MINIROCKET: 9 * 40 + 9 * 40 - 1})
    with caplog.at_level(logging.INFO):
        found = baseline_probabilities(train, labels, 3, {"test": train})
    assert found.keys() == {MAJORITY, EUCLIDEAN}
    assert len(caplog.messages) == 2 and all("left out, for it would take minutes" in line for line in caplog.messages)
