from functools import partial

import numpy as np
import pytest

from seqtrain.data.text.labels import (
    RawSplit,
    find_class_names,
    keep_rows,
    number_labels,
    shares,
    stratified_split,
    usable_rows,
)
from seqtrain.errors import DataError


def raw(labels: list[str | int | None], names: list[str] | None = None) -> RawSplit:
    return RawSplit([f"text {i}" for i in range(len(labels))], labels, "some.csv", names)


def test_rows_without_text_or_label_are_counted() -> None:
    notes: list[str] = []
    split = RawSplit(["a", "", None, " \n", "b", "c", "d"], ["x", "x", "x", "x", None, -1, " "], "some.csv", ["x", "y"])
    rows = usable_rows(split, notes)
    assert rows.tolist() == [0]
    assert notes == ["some.csv: 6 rows dropped (3 with empty text, 3 without label)"]
    assert keep_rows(split, rows).texts == ["a"]
    with pytest.raises(DataError, match="none of its 1 rows can be used"):
        usable_rows(RawSplit([""], ["x"], "some.csv"), notes)
    with pytest.raises(DataError, match="some.csv: has no rows"):
        usable_rows(RawSplit([], [], "some.csv"), notes)


def test_class_names() -> None:
    assert find_class_names(raw(["b", "a", "b"])) == ["a", "b"]
    assert find_class_names(raw(["10", "9", "-3"])) == ["-3", "9", "10"]
    assert find_class_names(raw([0, 1], ["neg", "pos"])) == ["neg", "pos"]
    with pytest.raises(DataError, match="one label 'a'"):
        find_class_names(raw(["a", "a"]))


def test_labels_are_names_or_numbers_of_named_classes() -> None:
    assert number_labels(raw(["pos", "neg"]), ["neg", "pos"]).tolist() == [1, 0]
    named = ["neg", "pos"]
    assert number_labels(raw([1, 0], named), named).tolist() == [1, 0]
    assert number_labels(raw(["1", "pos"], named), named).tolist() == [1, 1]  # csv has strings only
    assert number_labels(raw([1, 0], ["pos", "neg"]), named).tolist() == [0, 1]  # each source has its own order
    assert number_labels(raw(["2", "1"]), ["1", "2"]).tolist() == [1, 0]
    assert number_labels(raw([0, 2], ["1", "2", "3"]), ["1", "2", "3"]).tolist() == [0, 2]  # stars, say
    assert number_labels(raw(["1", "3"], ["1", "2", "3"]), ["1", "2", "3"]).tolist() == [0, 2]
    for labels, names in ((["0", "1"], None), ([2], named), (["maybe"], named)):
        with pytest.raises(DataError, match=r"is not one of the classes of train \(neg, pos\)"):
            number_labels(raw(list(labels), names), ["neg", "pos"])


def test_minus_one_is_a_label_unless_classes_are_named() -> None:
    assert usable_rows(raw([-1, 1]), []).tolist() == [0, 1]
    assert find_class_names(raw([-1, 1])) == ["-1", "1"]
    assert usable_rows(raw([-1, 1], ["neg", "pos"]), []).tolist() == [1]
    assert find_class_names(raw(["--3", "1"])) == ["--3", "1"]


def test_stratified_split() -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 1])
    split = partial(stratified_split, key="data.test_size")
    stay, apart = split(labels, 0.2, seed=0)
    assert sorted([*stay, *apart]) == list(range(151))
    assert np.bincount(labels[apart], minlength=3).tolist() == [20, 10, 0]
    assert np.array_equal(apart, split(labels, 0.2, seed=0)[1])
    assert not np.array_equal(apart, split(labels, 0.2, seed=1)[1])
    assert len(split(labels, 30, seed=0)[1]) == 30
    for size in (0.001, 151, 1000):
        with pytest.raises(DataError, match="data.test_size"):
            split(labels, size, seed=0)


def test_many_small_classes_share_by_the_largest_remainder() -> None:
    assert shares(np.full(30, 4), 0.1, 0).sum() == 12 and shares(np.full(30, 4), 0.1, 0).max() == 1
    rare = shares(np.array([60, *[3] * 10, 1]), 0.1, 0)
    assert rare[0] == 6 and rare.sum() == 9 and rare[-1] == 0
    assert not np.array_equal(rare, shares(np.array([60, *[3] * 10, 1]), 0.1, 1))
    # Up to 1 % off, the rounded shares are kept, which earlier versions took.
    assert shares(np.array([404, 404, 404]), 0.1, 0).tolist() == [40, 40, 40]
