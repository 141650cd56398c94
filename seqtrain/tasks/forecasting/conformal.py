"""Conformal intervals of any forecast, from its errors on validation, and scores of intervals.

Shapes: B windows of a batch, N windows of validation, S horizon, C variables.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqtrain.data.series.batch import ForecastBatch
from seqtrain.tasks.forecasting.metrics import mean

Interval = tuple[Tensor, Tensor]
"""Lower and upper ends, (B, S, C) each."""


@dataclass(frozen=True)
class Conformal:
    """Intervals whose margin, for each step and variable, is a quantile of the nonconformity on validation.

    If these windows and a new one were exchangeable, the interval would contain the truth with a probability of at
    least ``level``, for any model. Windows of a series overlap and series drift, so that this holds approximately.

    Source: see ``Distribution.nonconformity``; the rank is that of split conformal prediction over all series together.
    """

    level: float
    margins: Tensor
    """Margins in scaled units (in deviations for normal distributions), (S, C), float64, on the CPU."""
    windows: int
    """Number of windows behind a margin: of the step and variable with the fewest known targets."""

    @classmethod
    def of_scores(cls, level: float, scores: NDArray[np.floating]) -> "Conformal":
        """Compute margins from the nonconformity on validation, (N, S, C), NaN where the target is missing.

        Raises:
            ValueError: if a step of a variable has fewer than ``fewest_windows(level)`` known targets.
        """
        counts = np.count_nonzero(~np.isnan(scores), axis=0)
        if counts.min() < fewest_windows(level):
            raise ValueError(f"{counts.min()} windows are too few for a level of {level:g}")
        ranks = conformal_ranks(counts, level)
        margins = np.empty(counts.shape)
        for step, rank in enumerate(ranks):  # one by one, to bound memory; NaN is sorted to the end
            margins[step] = np.take_along_axis(np.sort(scores[:, step], axis=0), rank[None] - 1, axis=0)[0]
        return cls(level, torch.from_numpy(margins), int(counts.min()))


def conformal_ranks(counts: NDArray[np.integer], level: float) -> NDArray[np.integer]:
    """Rank, from 1, of the margin among ``counts`` ascending scores: ceil((count + 1) level)."""
    return np.ceil(np.round((counts + 1) * level, 9)).astype(np.int64)  # in binary, (9 + 1) * 0.9 may be above 9


def fewest_windows(level: float) -> int:
    """The smallest number of scores for which a level has a finite margin."""
    return math.ceil(round(level / (1 - level), 9))


class IntervalSums:
    """Coverage and width of intervals, as sums and counts over windows, (S, C) each.

    Args:
        horizon: number S of steps.
        num_variables: number C of variables.
    """

    def __init__(self, horizon: int, num_variables: int):
        self.covered, self.counts = np.zeros((2, horizon, num_variables), dtype=np.int64)
        self.widths, self.original_widths = np.zeros((2, horizon, num_variables))

    def update(self, interval: Interval, batch: ForecastBatch) -> None:
        """Add the scaled intervals of a batch."""
        lower, upper = (end.cpu().double() for end in interval)
        targets, scale = (torch.from_numpy(part) for part in (batch.scaled_truth(), batch.scale[:, None]))
        observed = torch.ones_like(targets, dtype=torch.bool) if batch.observed is None else batch.observed.cpu()
        widths = torch.where(observed, upper - lower, 0)
        self.covered += ((lower <= targets) & (targets <= upper) & observed).sum(0).numpy()
        self.counts += observed.sum(0).numpy()
        self.widths += widths.sum(0).numpy()
        self.original_widths += (widths * scale).sum(0).numpy()

    def __add__(self, other: "IntervalSums") -> "IntervalSums":
        """The sums over the windows of both objects."""
        total = IntervalSums(*self.counts.shape)
        for name, own in vars(self).items():
            setattr(total, name, own + getattr(other, name))
        return total

    def means(self, axis: int | None = None) -> dict[str, NDArray[np.floating]]:
        """``coverage``, the share of known targets inside; mean ``width``, scaled, and ``original_width``, unscaled.

        Args:
            axis: take means over steps (0), variables (1), or both (None).
        """
        counts = self.counts.sum(axis=axis)
        sums = {"coverage": self.covered, "width": self.widths, "original_width": self.original_widths}
        return {name: mean(values.sum(axis=axis), counts) for name, values in sums.items()}
