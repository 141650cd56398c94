"""Resampling against a second implementation and against SciPy, and how often intervals cover the truth."""

import math
from functools import cache

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import bootstrap

from seqtrain.comparison.bootstrap import automatic_length, block_length, resampled_means


def all_means(values: np.ndarray, block: int, resamples: int, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(resampled_means(values, block, resamples, seed)))


def autoregressive(rng: np.random.Generator, N: int, correlation: float) -> np.ndarray:
    """A stationary first-order process with mean 0 and variance 1."""
    noise = rng.normal(size=N) * math.sqrt(1 - correlation**2)
    series = np.zeros(N)
    series[0] = rng.normal()
    for t in range(1, N):
        series[t] = correlation * series[t - 1] + noise[t]
    return series


@pytest.mark.parametrize("block", [1, 3, 7, 20])
def test_resamples_are_those_of_a_plain_loop(block: int) -> None:
    values = np.random.default_rng(1).normal(size=(20, 2))
    whole, rest = divmod(20, block)
    rng = np.random.default_rng(5)
    starts = rng.integers(0, 20, size=(30, whole), dtype=np.int32)
    last = rng.integers(0, 20, size=30) if rest else None
    expected = []
    for r in range(30):
        places = [(start + i) % 20 for start in starts[r] for i in range(block)]
        places += [] if last is None else [(last[r] + i) % 20 for i in range(rest)]
        assert len(places) == 20
        expected.append(values[places].mean(axis=0))
    np.testing.assert_allclose(all_means(values, block, 30, seed=5), expected, atol=1e-12)


def test_every_example_is_drawn_equally_often_in_blocks() -> None:
    """The mean over resamples is that of the sample, since circular blocks draw the ends as often as the middle."""
    values = np.arange(50.0)[:, None] ** 2
    means = all_means(values, 8, 20_000)
    assert abs(means.mean() - values.mean()) < 4 * means.std() / math.sqrt(20_000)


def test_memory_is_bounded_by_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqtrain.comparison.bootstrap.CHUNK", 500)
    parts = list(resampled_means(np.ones((100, 1)), 1, 23))
    assert [len(part) for part in parts] == [5, 5, 5, 5, 3]
    np.testing.assert_allclose(np.concatenate(parts), 1)


def test_the_interval_is_scipys() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random(300) < 0.8, rng.random(300) < 0.7
    ours = np.percentile(all_means((a * 1.0 - b)[:, None], 1, 10_000), [2.5, 97.5])
    theirs = bootstrap(
        (a * 1.0, b * 1.0), lambda x, y, axis: x.mean(axis) - y.mean(axis), paired=True, method="percentile",
        n_resamples=10_000, rng=np.random.default_rng(3),
    ).confidence_interval  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=0.004)


def covered(series: np.ndarray, block: int, truth: float) -> bool:
    low, high = np.percentile(all_means(series[:, None], block, 400), [2.5, 97.5])
    return bool(low <= truth <= high)


def test_intervals_of_independent_examples_cover_the_truth() -> None:
    """Two classifiers, correct on 80 % and 75 % of the examples, with dependent errors."""
    rng, hits = np.random.default_rng(4), 0
    for _ in range(400):
        hard = rng.random(250)
        a, b = (hard + 0.2 * rng.normal(size=250) < level for level in (0.8, 0.75))
        hits += covered(a * 1.0 - b, 1, share_below(0.8) - share_below(0.75))
    assert 0.92 <= hits / 400 <= 0.975


@cache
def share_below(level: float) -> float:
    """Probability that a uniform number with normal noise of deviation 0.2 lies below ``level``."""
    return float(quad(lambda u: ndtr((level - u) / 0.2), 0, 1)[0])


def test_blocks_are_needed_where_examples_depend_on_each_other() -> None:
    """Errors with a correlation of 0.7 between neighbours: blocks of the automatic length nearly reach 95 %."""
    rng = np.random.default_rng(6)
    alone, blocks = [], []
    for _ in range(200):
        series = autoregressive(rng, 500, 0.7)
        alone.append(covered(series, 1, 0.0))
        blocks.append(covered(series, block_length(series[:, None], least=1), 0.0))
    assert np.mean(alone) < 0.7
    assert np.mean(blocks) > 0.88


def politis_white(series: np.ndarray) -> float:
    """Politis and White 2004 as printed, lag by lag, with the constant of 2009."""
    N = len(series)
    mean = sum(series) / N

    def R(k: int) -> float:
        return sum((series[t] - mean) * (series[t + abs(k)] - mean) for t in range(N - abs(k))) / N

    c, K = 2 * math.sqrt(math.log10(N) / N), max(5, int(math.log10(N)))
    limit = math.ceil(math.sqrt(N)) + K
    m = next((m for m in range(limit) if all(abs(R(m + k) / R(0)) < c for k in range(1, K + 1))), limit)
    M = min(2 * max(m, 1), limit)

    def window(t: float) -> float:
        return 1 if abs(t) <= 0.5 else 2 * (1 - abs(t))

    G = sum(window(k / M) * abs(k) * R(k) for k in range(-M, M + 1))
    D = 4 / 3 * sum(window(k / M) * R(k) for k in range(-M, M + 1)) ** 2
    return float(min(max((2 * G**2 / D) ** (1 / 3) * N ** (1 / 3), 1), 3 * math.sqrt(N)))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, -0.3])
def test_the_automatic_length_is_that_of_politis_and_white(correlation: float) -> None:
    series = autoregressive(np.random.default_rng(7), 400, correlation)
    assert automatic_length(series) == pytest.approx(politis_white(series), rel=1e-9)


def test_block_length() -> None:
    rng = np.random.default_rng(8)
    lengths = [automatic_length(autoregressive(rng, 4000, correlation)) for correlation in (0.0, 0.5, 0.9)]
    assert lengths[0] < 4 and lengths[0] < lengths[1] < lengths[2]
    # Of an AR(1), G / g is 2 r / (1 - r^2) in the limit: 9.5 for r = 0.9, hence b = 81.
    assert lengths[2] == pytest.approx((1.5 * (1.8 / 0.19) ** 2 * 4000) ** (1 / 3), rel=0.5)
    assert automatic_length(np.zeros(50)) == 1
    assert automatic_length(np.arange(3.0)) >= 1
    assert block_length(np.zeros((100, 1)), least=24) == 24
    assert block_length(np.zeros((30, 1)), least=24) == 10
    assert block_length(np.zeros((1, 1)), least=24) == 1
