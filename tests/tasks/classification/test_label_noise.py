"""Rows whose label is unlikely, on rows of which we know which labels are wrong."""

import numpy as np
import pytest

from seqtrain.tasks.classification.label_noise import suspects, unlikely_rows


def noisy(count: int = 300, wrong: int = 24) -> tuple[np.ndarray, np.ndarray, set[int]]:
    """Probabilities of three classes by a good model, labels of which some are wrong, and which are."""
    rng = np.random.default_rng(0)
    true = np.arange(count) % 3
    probabilities = rng.dirichlet([1, 1, 1], count) * 0.3
    probabilities[np.arange(count), true] += 0.7
    places = rng.choice(count, wrong, replace=False)
    labels = true.copy()
    labels[places] = (true[places] + 1) % 3
    return probabilities, labels, set(places.tolist())


def test_wrong_labels_are_found() -> None:
    probabilities, labels, wrong = noisy()
    found = unlikely_rows(probabilities, labels)
    assert set(found.tolist()) <= wrong and len(found) >= 20
    given = probabilities[found, labels[found]]
    assert (np.diff(given) >= 0).all()  # the least likely first
    first = suspects(probabilities, labels)[0]
    assert first.place == found[0] and first.given == labels[found[0]] and first.likely == first.place % 3
    assert first.given_probability == pytest.approx(given[0]) and first.likely_probability >= 0.7


def test_sets_of_labels_are_judged_class_by_class() -> None:
    probabilities, labels, wrong = noisy()
    targets = labels[:, None] == np.arange(3)
    found = suspects(probabilities, targets)
    places = {each.place for each in found}
    assert len(places & wrong) >= 20 and len(places - wrong) <= 2
    for each in found:
        given = probabilities[each.place, each.given]
        assert each.given_probability == pytest.approx(given if targets[each.place, each.given] else 1 - given)


def test_classes_that_no_row_has() -> None:
    probabilities, labels, _ = noisy()
    wider = np.concatenate([probabilities * 0.9, np.full((300, 1), 0.1)], axis=1)
    assert set(unlikely_rows(wider, labels)) == set(unlikely_rows(probabilities, labels))
    assert len(unlikely_rows(probabilities[:5], np.zeros(5, dtype=int))) == 0
