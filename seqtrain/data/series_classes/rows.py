"""Prepared series as one flat array with offsets, gathered into padded batches without a loop over series.

Shapes: N series, B of them in a batch, T time, D features.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class SeriesRows:
    """Arrays of unequal length, one for each series.

    Args:
        values: values of each series, (T, D), or a label of each of its steps, (T,); at least one series.
    """

    def __init__(self, values: Sequence[np.ndarray]):
        self.lengths = np.array([len(series) for series in values], dtype=np.int64)
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.values = np.concatenate(values)

    def __getitem__(self, row: int) -> np.ndarray:
        """The values of one series."""
        start = self.starts[row]
        return self.values[start : start + self.lengths[row]]

    def gather(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Values of series, padded on the right by zeros, (B, T, D) or (B, T), and their lengths, (B,)."""
        lengths = self.lengths[rows]
        step = np.arange(lengths.max())
        real = step < lengths[:, None]
        padded = self.values[np.where(real, self.starts[rows, None] + step, 0)]
        padded[~real] = 0
        return torch.from_numpy(padded), torch.from_numpy(lengths)
