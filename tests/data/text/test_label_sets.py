from typing import Any

import numpy as np
import pytest

from seqtrain.data.text.label_sets import indicator, label_sets, multilabel_split
from seqtrain.data.text.labels import RawTexts
from seqtrain.errors import DataError


def raw(labels: list[Any]) -> RawTexts:
    return RawTexts(["a text"] * len(labels), labels, "a.jsonl", None, lambda row: f"a.jsonl: line {row + 1}")


def sets(labels: list[Any], separator: str | None = None, missing: tuple[str, ...] = ()) -> list[list[str] | None]:
    found = label_sets(raw(labels), separator, missing)
    return [
        [found.names[code] for code in found.codes[found.rows == row]] if found.known[row] else None
        for row in range(len(labels))
    ]


def test_lists_and_separated_strings_are_the_same_sets() -> None:
    assert sets([["neg", "rush"], [], None, ["pos"], [1, 1.0, True]]) == [
        ["neg", "rush"],
        [],
        None,
        ["pos"],
        ["1", "true"],
    ]
    texts = ["neg|rush", "", None, " pos ", "1|1.0|true"]
    assert sets(texts, "|") == [["neg", "rush"], None, None, ["pos"], ["1", "true"]]
    assert sets([["a|b"], "a|b", 3], "|") == [["a|b"], ["a", "b"], ["3"]]
    assert sets(["a, b", "NA"], ",", ("NA",)) == [["a", "b"], None]
    assert sets([["b", "a", "b"], ["a"]]) == [["b", "a"], ["a"]]


@pytest.mark.parametrize(
    ("labels", "separator", "message"),
    [
        ([["a"], "a|b"], None, r"line 2: label 'a\|b' is one label, .* data.label_separator=pipe"),
        ([["a"], "a;b"], None, "line 2: .* data.label_separator=semicolon"),
        ([["a"], 3], None, "line 2: label 3 is one label"),
        ([["a"], ["b", None]], None, r"line 2: an empty label among \['b', None\]"),
        (["a", "b||c"], "|", r"line 2: an empty label among 'b\|\|c'"),
        ([["a"], ["b", ["c"]]], None, r"line 2: \['c'\] stands in its list"),
        ([["a"], {"b": 1}], None, "line 2: label .* is an object"),
    ],
)
def test_what_is_no_set_of_labels(labels: list[Any], separator: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        label_sets(raw(labels), separator)


def test_indicator() -> None:
    found = label_sets(raw([["b", "a"], [], ["c"]]), None)
    assert indicator(found, np.array([1, 0, 2]), 3).tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_every_class_keeps_a_row_in_train() -> None:
    rng = np.random.default_rng(0)
    applies = rng.random((200, 12)) < np.r_[0.4, 0.2, [0.03] * 10]
    applies[:, 11] = False
    applies[7, 11] = True  # a class of one row
    for seed in range(20):
        stay, apart = multilabel_split(applies, 0.3, seed, "data.validation_size")
        assert sorted([*stay, *apart]) == list(range(200)) and len(apart) == 60
        assert applies[stay].any(0).all() and 7 in stay
        assert (np.diff(apart) > 0).all()
    assert np.array_equal(apart, multilabel_split(applies, 60, 19, "data.validation_size")[1])
    assert not np.array_equal(apart, multilabel_split(applies, 60, 20, "data.validation_size")[1])


@pytest.mark.parametrize("size", [0.001, 5, 7.0])
def test_a_split_that_cannot_be(size: float) -> None:
    applies = np.eye(5, 3, dtype=bool)  # three rows must stay
    with pytest.raises(DataError, match="data.test_size=.* 3 must stay"):
        multilabel_split(applies, size, 0, "data.test_size")
    assert len(multilabel_split(applies, 2, 0, "data.test_size")[1]) == 2
