import numpy as np
import pytest

from seqtrain.data.rows.batching import bucketed_batches, sorted_batches


def lengths(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 400, count)


def waste(batches: list[np.ndarray], lengths: np.ndarray) -> float:
    places = sum(len(rows) * lengths[rows].max() for rows in batches)
    return 1 - lengths.sum() / places


@pytest.mark.parametrize("count", [1, 63, 64, 65, 10_000])
@pytest.mark.parametrize("batch_tokens", [None, 5_000])
def test_every_row_once(count: int, batch_tokens: int | None) -> None:
    n = lengths(count)
    batches = bucketed_batches(n, 64, batch_tokens, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    if batch_tokens is None:
        assert sum(len(rows) == 64 for rows in batches) == count // 64 and len(batches) == -(-count // 64)
    else:
        assert all(len(rows) * n[rows].max() <= batch_tokens for rows in batches)


def test_little_is_padded() -> None:
    n = lengths(20_000)
    assert waste(bucketed_batches(n, 64, None, np.random.default_rng(1)), n) < 0.02
    assert waste(bucketed_batches(n, 64, 12_800, np.random.default_rng(1)), n) < 0.02
    assert waste(sorted_batches(n, 32_768), n) < 0.02


def test_order_depends_on_the_generator_only_and_is_shuffled() -> None:
    n = lengths(5_000)
    first, same, other = (bucketed_batches(n, 64, None, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    longest = [n[rows].max() for rows in first]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)


def test_evaluation_order_keeps_within_the_budget() -> None:
    n = np.array([5, 9, 1, 9, 3])
    batches = sorted_batches(n, 18)
    assert [rows.tolist() for rows in batches] == [[1, 3], [0, 4, 2]]
