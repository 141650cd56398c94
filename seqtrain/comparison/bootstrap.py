"""Means of resampled examples: the bootstrap, in blocks where examples depend on each other.

Shapes: N examples in order, K values of each, R resamples.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 10_000
MAX_BLOCKS = 50_000
"""Blocks in a resample: more examples than that are resampled in blocks of several, which is then exact enough."""
CHUNK = 1 << 22
"""Numbers in the counts of draws that are held at once, to bound memory."""


def resampled_means(values: Floats, block: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Floats]:
    """Means of resamples of N examples, (R', K) at a time, R in all.

    A resample is made of blocks of ``block`` neighbours that begin at examples drawn with replacement, the last block
    cut so that it has N examples. After the last example comes the first, so that every one is drawn equally often.
    With blocks of 1 this is Efron's bootstrap. The same N, block and seed draw the same resamples, whatever the values.

    Args:
        values: of the examples, (N, K).
        block: length of a block, in [1, N].
        resamples: number R of resamples.
        seed: of the draws.

    Source: Efron 1979; Künsch 1989 (moving blocks); Politis and Romano 1992 (around a circle).
    """
    from scipy.sparse import csr_array

    N = len(values)
    whole, rest = divmod(N, block)
    sums, last = block_sums(values, block), block_sums(values, rest) if rest else None
    rng = np.random.default_rng(seed)
    dense = block < 8  # then most counts of draws are not 0, and a plain matrix product is faster
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


def block_sums(values: Floats, length: int) -> Floats:
    """Sum over the ``length`` examples from each one on, around the circle, (N, K)."""
    if length == 1:
        return values
    around = np.concatenate([values, values[: length - 1]])
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(around, axis=0)])
    return total[length:] - total[:-length]


def block_length(differences: Floats, least: int) -> int:
    """Length of the blocks for examples that depend on each other.

    Args:
        differences: series (N, K) whose means are to be judged.
        least: reach of a dependence that is known, such as the overlap of windows.

    Returns:
        The largest of ``least`` and ``automatic_length`` of each series; at most N / 3.
    """
    longest = max([least, *(math.ceil(automatic_length(series)) for series in differences.T)])
    return max(1, min(longest, len(differences) // 3))


def automatic_length(series: Floats) -> float:
    """Block length that is best, for large N, for the variance of a series' mean, estimated from its correlations.

    With autocovariances R(k) up to twice the lag after which none matters, tapered by l(t) = min(1, 2 (1 - |t|)),

        G = sum l(k / M) |k| R(k),   g = sum l(k / M) R(k),   b = (3 G^2 / (2 g^2))^(1/3) N^(1/3)

    Args:
        series: in order, (N,).

    Returns:
        b, from 1 to 3 sqrt(N); 1 for a series without variance.

    Source: Politis and White 2004, section 3.2, with the correction of Patton, Politis and White 2009.
    """
    N = len(series)
    deviation = series - series.mean()
    run = max(5, int(math.log10(N)))  # lags in a row that must not matter
    longest = min(math.ceil(math.sqrt(N)) + run, N - 1)
    covariance = np.array([deviation[lag:] @ deviation[: N - lag] for lag in range(longest + 1)]) / N
    if covariance[0] <= 0 or longest < 2:
        return 1.0
    matters = np.abs(covariance[1:] / covariance[0]) >= 2 * math.sqrt(math.log10(N) / N)
    last = 0  # the first lag that `run` lags follow which do not matter
    while last + run <= longest and matters[last : last + run].any():
        last += 1
    M = min(2 * max(last, 1), longest)
    lags = np.arange(1, M + 1)
    tapered = np.minimum(1, 2 * (1 - lags / M)) * covariance[1 : M + 1]
    G, g = 2 * float(lags @ tapered), covariance[0] + 2 * float(tapered.sum())
    if g <= 0:
        return 1.0
    return float(np.clip((1.5 * (G / g) ** 2 * N) ** (1 / 3), 1, 3 * math.sqrt(N)))
