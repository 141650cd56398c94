from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pytest

from seqtrain.data.text.labels import RawTexts, label_text, one_label, shares, stratified_split
from seqtrain.errors import DataError


def raw(labels: list[Any], names: list[str] | None = None) -> RawTexts:
    return RawTexts(["a text"] * len(labels), labels, "a.jsonl", names, lambda row: f"a.jsonl: line {row + 1}")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, 1.0, "1", "1.0", " 1 ", "1.00", Decimal("1.0"), Decimal(1)], "1"),
        ([-3, -3.0, "-3", "-3.0"], "-3"),
        ([0, 0.0, -0.0, "0", "-0.0", "0.0"], "0"),
        ([True, "True", "TRUE", "true"], "true"),
        ([False, "False", "FALSE", " false "], "false"),
        ([1.5, "1.5", Decimal("1.5")], "1.5"),
        ([None, float("nan"), "", " \n"], None),
        (["01"], "01"),  # a postal code, say
        (["01.0"], "01.0"),
        (["1."], "1."),
        (["nan"], "nan"),
        ([float("inf")], "inf"),
        ([10**20, 1e20, "1" + "0" * 20], "1" + "0" * 20),
        (["9" * 5000], "9" * 5000),
    ],
)
def test_the_text_of_a_label_is_the_same_in_every_format(values: list[Any], text: str | None) -> None:
    assert [label_text(value) for value in values] == [text] * len(values)


def test_labels_of_mixed_types_keep_their_own_text() -> None:
    labels = one_label(raw([1, True, "1", 1.0, None, "true", 0, False, float("nan"), "b"]))
    assert labels.names == ["1", "true", "0", "false", "b"]
    assert labels.codes.tolist() == [0, 1, 0, 0, 1, 2, 3, 4]
    assert labels.rows.tolist() == [0, 1, 2, 3, 5, 6, 7, 9]
    assert np.flatnonzero(~labels.known).tolist() == [4, 8]


def test_what_means_no_label() -> None:
    values = [-9999, "-9999", "NA", "n/a", -1, "-1", "x"]
    assert one_label(raw(values)).known.all()
    assert one_label(raw(values), missing=["NA", "-9999.0"]).known.tolist() == [False] * 3 + [True] * 4
    # Only a file that names its classes itself, as the hub has it, writes -1 for no label.
    assert one_label(raw([0, -1, 1], names=["a", "b"])).known.tolist() == [True, False, True]


def test_selected_rows_are_numbered_again() -> None:
    labels = one_label(raw(["a", "b", None, "c", "b"]))
    chosen = labels.select(np.array([False, True, False, True, True]))
    assert chosen.names == ["b", "c"] and chosen.codes.tolist() == [0, 1, 0] and chosen.rows.tolist() == [0, 1, 2]
    assert chosen.first(np.array([False, True])) == (1, "c") and chosen.count(np.array([True, False])) == 2


@pytest.mark.parametrize(("value", "what"), [(["x"], "a list"), ({"x": 1}, "an object"), (b"x", "bytes")])
def test_a_label_that_is_none_is_named_with_its_line(value: Any, what: str) -> None:
    with pytest.raises(DataError, match=f"a.jsonl: line 3: label .* is {what}, not one label; task=multilabel"):
        one_label(raw(["a", "b", value, "c"]))
    with pytest.raises(DataError, match=r"line 1: label \['xxxx.*\.\.\. is a list"):
        one_label(raw([["x" * 1000]]))


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
    # Up to a quarter off, the rounded shares are kept, which earlier versions took.
    assert shares(np.array([404, 404, 404]), 0.1, 0).tolist() == [40, 40, 40]
    assert shares(np.array([18, 18, 18]), 0.1, 0).tolist() == [2, 2, 2]
