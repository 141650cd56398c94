"""Conformal intervals of any forecast, from its errors on validation, and how intervals are scored.

Shapes: B windows of a batch, N windows of validation, S horizon, C variables.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqtrain.data.series.dataset import ForecastBatch
from seqtrain.tasks.forecasting.metrics import mean

Interval = tuple[Tensor, Tensor]
"""Lower and upper ends, (B, S, C) each."""


@dataclass(frozen=True)
class Conformal:
    """Intervals whose margin at each step, of each variable, is a quantile of the nonconformity on validation.

    If these windows and the one to be forecast were exchangeable, the interval would hold the truth with a probability
    of at least ``level``, whatever the model. Windows of a series overlap and series drift: it holds approximately.

    Source: as ``Distribution.nonconformity``; the rank is that of split conformal prediction, all series together.
    """

    level: float
    margins: Tensor
    """Scaled (of normal distributions in deviations), (S, C), float64, on the CPU."""
    windows: int
    """Known targets behind each margin: of the step and variable with the fewest."""

    @classmethod
    def of_scores(cls, level: float, scores: NDArray[np.floating]) -> "Conformal":
        """From the nonconformity of validation, (N, S, C), NaN where the target is missing.

        Raises:
            ValueError: if some step of a variable has fewer than ``fewest_windows(level)``.
        """
        counts = np.count_nonzero(~np.isnan(scores), axis=0)
        if counts.min() < fewest_windows(level):
            raise ValueError(f"{counts.min()} windows are too few for a level of {level:g}")
        ranks = conformal_ranks(counts, level)
        margins = np.empty(counts.shape)
        for step, rank in enumerate(ranks):  # one by one, to bound memory; NaN goes last
            margins[step] = np.take_along_axis(np.sort(scores[:, step], axis=0), rank[None] - 1, axis=0)[0]
        return cls(level, torch.from_numpy(margins), int(counts.min()))


def conformal_ranks(counts: NDArray[np.integer], level: float) -> NDArray[np.integer]:
    """Which of so many scores in order is the margin, from 1: ceil((count + 1) level)."""
    return np.ceil(np.round((counts + 1) * level, 9)).astype(np.int64)  # (9 + 1) 0.9 may be above 9 in binary


def fewest_windows(level: float) -> int:
    """The number of scores from which on a level has a finite margin."""
    return math.ceil(round(level / (1 - level), 9))


class IntervalSums:
    """How often intervals hold what came, and how wide they are; sums and counts over windows, (S, C) each.

    Args:
        horizon: S.
        num_variables: C.
    """

    def __init__(self, horizon: int, num_variables: int):
        self.covered, self.counts = np.zeros((2, horizon, num_variables), dtype=np.int64)
        self.widths, self.original_widths = np.zeros((2, horizon, num_variables))

    def update(self, interval: Interval, batch: ForecastBatch) -> None:
        """Take in the intervals of a batch, scaled."""
        lower, upper, targets, scale = (
            tensor.cpu().double() for tensor in (*interval, batch.targets, batch.scale[:, None])
        )
        observed = torch.ones_like(targets, dtype=torch.bool) if batch.observed is None else batch.observed.cpu()
        widths = torch.where(observed, upper - lower, 0)
        self.covered += ((lower <= targets) & (targets <= upper) & observed).sum(0).numpy()
        self.counts += observed.sum(0).numpy()
        self.widths += widths.sum(0).numpy()
        self.original_widths += (widths * scale).sum(0).numpy()

    def __add__(self, other: "IntervalSums") -> "IntervalSums":
        """The sums over the windows of both."""
        total = IntervalSums(*self.counts.shape)
        for name, own in vars(self).items():
            setattr(total, name, own + getattr(other, name))
        return total

    def means(self, axis: int | None = None) -> dict[str, NDArray[np.floating]]:
        """``coverage``, the share of known targets inside; mean ``width``, scaled; ``original_width``.

        Args:
            axis: over steps (0), over variables (1), or over all (None).
        """
        counts = self.counts.sum(axis=axis)
        sums = {"coverage": self.covered, "width": self.widths, "original_width": self.original_widths}
        return {name: mean(values.sum(axis=axis), counts) for name, values in sums.items()}
