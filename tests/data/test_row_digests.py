"""Digests by which the same text, passage or stretch of a series is found in another dataset."""

import numpy as np

from seqtrain.data.corpus.passages import LEAST, Passages
from seqtrain.data.row_digests import text_digests
from seqtrain.data.series.row_digests import stretch_digests


def test_texts_that_differ_in_blanks_case_and_breaks_are_equal() -> None:
    equal = text_digests(["A caf\u00e9, twice", "a cafe\u0301 ,  TWICE\n", "a<br />caf\u00e9,<BR>twice"])
    assert equal.dtype == np.uint64 and len(set(equal.tolist())) == 1
    assert len(set(text_digests(["not good", "not goods", "not good!", ""]).tolist())) == 4
    assert len(text_digests([])) == 0


def lines(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(["owl", "tree", "moon", "pond"], 12)) for _ in range(count)]


def test_a_passage_is_found_wherever_it_stands() -> None:
    own, other = lines(60, 1), lines(60, 2)
    found = Passages(["\n".join(own) + "\n"]).digests
    whole = "\n".join([*other[:7], *(line.upper() for line in own[20:40]), "", *other[7:]])
    shared = np.isin(Passages([whole[:500], whole[500:]]).digests, found).sum()
    length = len(own[20].replace(" ", ""))
    assert 20 - 2 * LEAST // length <= shared <= 20 - LEAST // length // 2
    assert len(Passages(["short\n"]).digests) == 0
    assert not np.isin(Passages(["\n".join(other)]).digests, found).any()


def stretches(times: np.ndarray, values: np.ndarray, begin: int, end: int, most: int | None = None) -> set[int]:
    offsets, begins, ends = (np.array(each) for each in ([0, len(times)], [begin], [end]))
    return set(stretch_digests(times, values, offsets, begins, ends, most).tolist())


def test_stretches_of_the_same_values_at_the_same_times() -> None:
    times = np.arange(400).astype("datetime64[h]").astype("datetime64[ns]")
    values = np.random.default_rng(0).normal(size=(400, 2))
    train, test = stretches(times, values, 0, 300), stretches(times, values, 300, 400)
    assert len(train) == 2 * 293 and len(test) == 200 and not train & test
    assert stretches(times[50:], values[50:, :1], 0, 250) <= train  # fewer variables, another beginning
    assert not stretches(times, np.roll(values, 1, axis=0), 0, 300) & train
    few = stretches(times, values, 0, 300, most=100)
    assert few < train and 40 < len(few) <= 130
    gaps = values.copy()
    gaps[100] = np.nan
    assert len(stretches(times, gaps, 0, 300)) == 2 * 285 and not stretches(times, np.zeros((400, 2)), 0, 300)
