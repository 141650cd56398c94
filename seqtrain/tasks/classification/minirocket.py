"""MiniRocket: features of series from convolutions with fixed kernels, on which a linear classifier does well.

There are 84 kernels of 9 weights, of which three are 2 and six are -1, in several dilations. A feature is the share of
steps at which a convolution is above a bias, and biases are quantiles of the convolution of a series of train.

It follows the published method and its code, with two additions. A series of unequal length is treated as if zeros
followed its end, and shares are of its own steps. Each kernel and dilation reads a random subset of the features of a
step, as in the published code for several features. The numbers differ from those of other implementations, since the
random choices do; accuracies agree to what the choices change.

Shapes: N series, T steps of one, L steps of the longest, D features of a step, K kernels, F features of a series.

Source: Dempster, Schmidt and Webb 2021, "MiniRocket: a very fast (almost) deterministic transform for time series
classification", sections 3.1 and 3.2.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

WIDTH = 9
KERNELS = np.full((84, WIDTH), -1.0, dtype=np.float32)
for _row, _places in zip(KERNELS, combinations(range(WIDTH), 3), strict=True):
    _row[list(_places)] = 2.0
PER_KERNEL = 119  # features of a series, which has 84 times as many
MAX_DILATIONS = 32
GOLDEN = (np.sqrt(5) + 1) / 2
CHUNK = 1 << 23  # values of convolutions at a time


class MiniRocket:
    """The transform, with dilations, biases and subsets of features that are chosen on train.

    Args:
        series: series of train, (T, D) each, float32.
        seed: seed of the choices.
    """

    def __init__(self, series: Sequence[np.ndarray], seed: int = 0):
        rng = np.random.default_rng(seed)
        longest, D = max(WIDTH, *map(len, series)), series[0].shape[1]
        self.dilations, counts = dilations_for(longest)
        self.weights: list[np.ndarray] = []
        self.biases: list[np.ndarray] = []
        quantile = np.arange(1, counts.sum() * len(KERNELS) + 1) * GOLDEN % 1
        taken = 0
        for number, (dilation, count) in enumerate(zip(self.dilations, counts, strict=True)):
            weights = KERNELS[:, None] * feature_subsets(rng, D)[..., None]
            biases = np.empty((len(KERNELS), count), dtype=np.float32)
            for kernel, chosen in enumerate(rng.integers(len(series), size=len(KERNELS))):
                convolved = convolve(padded([series[chosen]]), weights[kernel : kernel + 1], dilation)[0, 0]
                first, end = bounds(number, kernel, dilation, len(series[chosen]))
                biases[kernel] = np.quantile(convolved[first:end], quantile[taken : taken + count])
                taken += count
            self.weights.append(weights)
            self.biases.append(biases)

    def transform(self, series: Sequence[np.ndarray]) -> np.ndarray:
        """Features of series, (N, F), in [0, 1]."""
        found = []
        step = max(1, CHUNK // (max(WIDTH, *map(len, series)) * len(KERNELS)))
        for start in range(0, len(series), step):
            part = series[start : start + step]
            inputs, lengths = padded(part), [len(one) for one in part]
            shares = [self.shares(inputs, lengths, number) for number in range(len(self.dilations))]
            found.append(np.concatenate([each.reshape(len(part), -1) for each in shares], axis=1))
        return np.concatenate(found)

    def shares(self, inputs: np.ndarray, lengths: Sequence[int], number: int) -> np.ndarray:
        """Share of steps above each bias for one dilation, (N, K, biases), from inputs (N, D, L)."""
        dilation, biases = int(self.dilations[number]), self.biases[number]
        convolved = convolve(inputs, self.weights[number], dilation)
        counted = np.empty(convolved.shape[:2], dtype=np.float32)
        for parity in (0, 1):
            for row, length in enumerate(lengths):
                first, end = bounds(number, parity, dilation, length)
                counted[row, parity::2] = end - first
                convolved[row, parity::2, :first] = convolved[row, parity::2, end:] = -np.inf
        above = [np.count_nonzero(convolved > bias[:, None], axis=-1) for bias in biases.T]
        return np.stack(above, axis=-1).astype(np.float32) / counted[..., None]


def dilations_for(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Dilations for series of a length, and number of features of each kernel for each of them."""
    largest = min(PER_KERNEL, MAX_DILATIONS)
    exponents = np.linspace(0, np.log2((length - 1) / (WIDTH - 1)), largest)
    dilations, counts = np.unique((2**exponents).astype(np.int64), return_counts=True)
    counts = (counts * PER_KERNEL / largest).astype(np.int64)
    for i in range(PER_KERNEL - counts.sum()):
        counts[i % len(counts)] += 1
    return dilations, counts


def feature_subsets(rng: np.random.Generator, num_features: int) -> np.ndarray:
    """Whether each kernel reads each feature of a step, (K, D), float32: 1 to 9 of them at random."""
    subsets = np.zeros((len(KERNELS), num_features), dtype=np.float32)
    for row in subsets:
        count = int(2 ** rng.uniform(0, np.log2(min(num_features, WIDTH) + 1)))
        row[rng.choice(num_features, count, replace=False)] = 1
    return subsets


def padded(series: Sequence[np.ndarray]) -> np.ndarray:
    """Series as (N, D, L), float32, followed by zeros; L is 9 at least."""
    L = max(WIDTH, *map(len, series))
    inputs = np.zeros((len(series), series[0].shape[1], L), dtype=np.float32)
    for row, one in zip(inputs, series, strict=True):
        row[:, : len(one)] = one.T
    return inputs


def convolve(inputs: np.ndarray, weights: np.ndarray, dilation: int) -> np.ndarray:
    """Convolutions of inputs (N, D, L) with weights (K, D, 9), (N, K, L), with zeros beyond both ends."""
    N, D, L = inputs.shape
    margin = WIDTH // 2 * dilation
    wide = np.pad(inputs, ((0, 0), (0, 0), (margin, margin)))
    shifted = np.stack([wide[..., place * dilation :][..., :L] for place in range(WIDTH)], axis=2)
    found: np.ndarray = weights.reshape(len(weights), D * WIDTH) @ shifted.reshape(N, D * WIDTH, L)
    return found


def bounds(number: int, kernel: int, dilation: int, length: int) -> tuple[int, int]:
    """The steps over which shares are taken: all, or for every other kernel those that see no zeros beyond the ends."""
    margin = WIDTH // 2 * dilation
    return (margin, length - margin) if (number + kernel) % 2 and length > 2 * margin else (0, length)
