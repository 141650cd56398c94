import numpy as np
import pytest

from seqtrain.config.data import Truncate
from seqtrain.data.rows.tokens import TokenRows, count_tokens, flatten

ROWS = [[1, 2, 3, 4, 5, 6, 7], [8], [9, 10, 11]]


@pytest.mark.parametrize(
    ("truncate", "first"),
    [(Truncate.head, [1, 2, 3, 4, 5]), (Truncate.tail, [3, 4, 5, 6, 7]), (Truncate.head_tail, [1, 2, 3, 6, 7])],
)
def test_gather_cuts_and_pads(truncate: Truncate, first: list[int]) -> None:
    table = TokenRows(*flatten([ROWS[:2], ROWS[2:]], vocab_size=20), max_length=5, truncate=truncate)
    inputs, lengths = table.gather(np.array([2, 0, 1]), pad_id=0)
    assert inputs.tolist() == [[9, 10, 11, 0, 0], first, [8, 0, 0, 0, 0]]
    assert lengths.tolist() == [3, 5, 1]


def test_gather_equals_a_loop_on_random_rows() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.integers(1, 99, rng.integers(1, 30)).tolist() for _ in range(200)]
    for truncate in Truncate:
        table = TokenRows(*flatten([rows], 99), max_length=11, truncate=truncate)
        chosen = rng.permutation(200)[:50]
        inputs, lengths = table.gather(chosen, pad_id=0)
        for row, length, index in zip(inputs.tolist(), lengths.tolist(), chosen, strict=True):
            whole = rows[index]
            if len(whole) > 11:
                whole = {
                    Truncate.head: whole[:11],
                    Truncate.tail: whole[-11:],
                    Truncate.head_tail: whole[:6] + whole[-5:],
                }[truncate]
            assert row[:length] == whole and not any(row[length:])


@pytest.mark.parametrize(("vocab_size", "dtype"), [(2**16, np.uint16), (2**16 + 1, np.int32)])
def test_width_follows_the_vocabulary(vocab_size: int, dtype: type) -> None:
    tokens, offsets = flatten([[[vocab_size - 1]]], vocab_size)
    assert tokens.dtype == dtype and tokens.tolist() == [vocab_size - 1] and offsets.tolist() == [0, 1]


def test_tokens_are_counted_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = np.random.default_rng(0).integers(0, 9, 100).astype(np.uint16)
    monkeypatch.setattr("seqtrain.data.rows.tokens.COUNTED_AT_ONCE", 7)
    assert count_tokens(tokens, 12).tolist() == np.bincount(tokens, minlength=12).tolist()
    assert count_tokens(tokens[:0], 3).tolist() == [0, 0, 0]
