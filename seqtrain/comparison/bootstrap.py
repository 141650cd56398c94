"""Block bootstrap: means of resampled examples, in blocks where neighbouring examples depend on each other.

Shapes: N examples in order, K values of each, R resamples.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from seqtrain.tasks.statistics import Floats, Statistic

LEVEL = 0.95
"""Of the intervals of differences."""
RESAMPLES = 10_000
MAX_BLOCKS = 50_000
"""Maximum number of blocks in a resample. More examples are resampled in longer blocks, which is exact enough then."""
CHUNK = 1 << 22
"""Maximum number of draw counts in memory at once."""


def resampled_means(values: Floats, block: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Floats]:
    """Means of R resamples of N examples, in chunks (R', K).

    A resample consists of blocks of ``block`` neighbouring examples. The first example of each block is drawn with
    replacement, and the last block is cut so that the resample has N examples. The first example follows the last one,
    so every example is drawn equally often. With blocks of 1 this is Efron's bootstrap. The draws depend only on N,
    block and seed, not on the values.

    Args:
        values: values of the examples, (N, K).
        block: length of a block, in [1, N].
        resamples: R.
        seed: of the draws.

    Source: Efron 1979; Künsch 1989 (moving blocks); Politis and Romano 1992 (circular blocks).
    """
    from scipy.sparse import csr_array

    N = len(values)
    whole, rest = divmod(N, block)
    sums, last = block_sums(values, block), block_sums(values, rest) if rest else None
    rng = np.random.default_rng(seed)
    dense = block < 8  # then few draw counts are 0, and a dense matrix product is faster
    size = max(1, CHUNK // (N if dense else whole + 1))
    for first in range(0, resamples, size):
        R = min(size, resamples - first)
        starts = rng.integers(0, N, size=(R, whole), dtype=np.int32)
        drawn = csr_array(
            (np.ones(starts.size), starts.ravel(), np.arange(0, starts.size + 1, whole, dtype=np.int32)), shape=(R, N)
        )
        total = drawn.toarray() @ sums if dense else drawn @ sums
        if last is not None:
            total += last[rng.integers(0, N, size=R)]
        yield total / N


def common_block(statistics: Sequence[Statistic], ordered: bool, least: int) -> int:
    """Neighbouring examples that are resampled together when statistics are compared with the first of them.

    Args:
        statistics: of the same N examples.
        ordered: whether neighbours depend on each other.
        least: examples that a block has at least, if they do.
    """
    block, N = 1, len(statistics[0].terms)
    if ordered:
        series = np.stack([statistic.terms[:, 0] for statistic in statistics], axis=1)
        block = block_length(series[:, 1:] - series[:, :1], least=least)
    return max(block, math.ceil(N / MAX_BLOCKS))


def resampled_scores(statistics: Sequence[Statistic], block: int, resamples: int = RESAMPLES) -> Floats:
    """Scores of S statistics of the same examples on the same R resamples, (S, R)."""
    ends = np.cumsum([statistic.terms.shape[1] for statistic in statistics])[:-1]
    parts = []
    for means in resampled_means(np.concatenate([s.terms for s in statistics], axis=1), block, resamples):
        pairs = zip(statistics, np.split(means, ends, axis=1), strict=True)
        parts.append(np.stack([statistic.scores(part) for statistic, part in pairs]))
    return np.concatenate(parts, axis=1)


def block_sums(values: Floats, length: int) -> Floats:
    """Sums over the ``length`` examples that start at each example, the first following the last, (N, K)."""
    if length == 1:
        return values
    around = np.concatenate([values, values[: length - 1]])
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(around, axis=0)])
    return total[length:] - total[:-length]


def block_length(differences: Floats, least: int) -> int:
    """Block length for examples that depend on each other.

    Args:
        differences: series (N, K) whose means are compared.
        least: known reach of the dependence, such as the overlap of windows.

    Returns:
        Maximum of ``least`` and the ``automatic_length`` of each series, at most N / 3.
    """
    longest = max([least, *(math.ceil(automatic_length(series)) for series in differences.T)])
    return max(1, min(longest, len(differences) // 3))


def automatic_length(series: Floats) -> float:
    """Block length that minimises, for large N, the error of the estimated variance of a series' mean.

    With autocovariances R(k) up to M, twice the lag after which no correlation is significant, tapered by l(t) = min(1,
    2 (1 - |t|)),

        G = sum l(k / M) |k| R(k),   g = sum l(k / M) R(k),   b = (3 G^2 / (2 g^2))^(1/3) N^(1/3)

    Args:
        series: in order, (N,).

    Returns:
        b, clipped to [1, 3 sqrt(N)]; 1 for a constant series.

    Source: Politis and White 2004, section 3.2, with the correction of Patton, Politis and White 2009.
    """
    N = len(series)
    deviation = series - series.mean()
    run = max(5, int(math.log10(N)))  # consecutive lags that must be insignificant
    longest = min(math.ceil(math.sqrt(N)) + run, N - 1)
    covariance = np.array([deviation[lag:] @ deviation[: N - lag] for lag in range(longest + 1)]) / N
    if covariance[0] <= 0 or longest < 2:
        return 1.0
    significant = np.abs(covariance[1:] / covariance[0]) >= 2 * math.sqrt(math.log10(N) / N)
    last = 0  # the first lag after which `run` consecutive lags are insignificant
    while last + run <= longest and significant[last : last + run].any():
        last += 1
    M = min(2 * max(last, 1), longest)
    lags = np.arange(1, M + 1)
    tapered = np.minimum(1, 2 * (1 - lags / M)) * covariance[1 : M + 1]
    G, g = 2 * float(lags @ tapered), covariance[0] + 2 * float(tapered.sum())
    if g <= 0:
        return 1.0
    return float(np.clip((1.5 * (G / g) ** 2 * N) ** (1 / 3), 1, 3 * math.sqrt(N)))
