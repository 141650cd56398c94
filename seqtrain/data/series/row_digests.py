"""Digests of stretches of series, by which the same values at the same times are found in two datasets.

Shapes: N rows of K series, C targets, M stretches, W steps of a stretch.
"""

import numpy as np

STRETCH = 8
"""Steps W of a stretch."""
DIFFERENT = 4
"""Least number of different values in a stretch: a run of zeros is found in any series."""
MOST = 1 << 14
"""Largest number of stretches of train: 128 KiB of digests, found in 20 ms."""


def mixed(values: np.ndarray) -> np.ndarray:
    """Pseudo-random numbers from numbers, one each, uint64.

    Source: the finaliser of SplitMix64, Steele et al. 2014, "Fast splittable pseudorandom number generators".
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def stretch_digests(
    times: np.ndarray,
    values: np.ndarray,
    offsets: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    most: int | None = None,
) -> np.ndarray:
    """Digests of the stretches of W steps of each target that end in some rows, and of their last times, (M,), uint64.

    Stretches with a missing value or with hardly any different values are left out.

    Args:
        times: time of each row, datetime64[ns] or int64, (N,).
        values: targets in original units, NaN where missing, (N, C).
        offsets: first row of each series, and N, (K + 1,).
        begins: first of these rows of each series, (K,).
        ends: end of these rows of each series, (K,).
        most: largest number of stretches, about. If there are more, only some times count; which ones depends on
            nothing but the times.
    """
    first = np.maximum(begins, offsets[:-1] + STRETCH - 1)
    rows = np.concatenate([np.arange(start, end) for start, end in zip(first, ends, strict=True)])
    hashed = mixed(times[rows].view(np.int64).view(np.uint64))
    every = 1
    while most is not None and len(rows) * values.shape[1] > most * every:
        every *= 2
    kept = hashed % np.uint64(every) == 0
    rows, hashed = rows[kept], hashed[kept]
    stretches = values[rows[:, None] + np.arange(1 - STRETCH, 1)] + 0.0  # -0.0 becomes 0.0; (M, W, C)
    digests = np.repeat(hashed[:, None], values.shape[1], axis=1)
    for step in range(STRETCH):
        digests = mixed(digests ^ stretches[:, step].view(np.uint64))
    ordered = np.sort(stretches, axis=1)
    told_apart = 1 + (np.diff(ordered, axis=1) > 0).sum(axis=1) >= DIFFERENT
    return digests[told_apart & ~np.isnan(stretches).any(axis=1)]
