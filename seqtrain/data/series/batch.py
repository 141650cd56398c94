"""A batch of windows of series.

Shapes: B windows, L steps of lookback, S steps of horizon, D features of a step, C targets, F features that are known
for the horizon.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from seqtrain.data.base import Batch


@dataclass(kw_only=True)
class ForecastBatch(Batch):
    """A batch of windows of series, scaled; every window has L real steps.

    Inputs (B, L, D) are targets, past covariates, future covariates and calendar of the lookback. Targets (B, S, C) are
    the targets of the horizon.
    """

    future: Tensor
    """Future covariates and calendar of the horizon, (B, S, F)."""
    observed: Tensor | None
    """Which targets are known, so that they count in loss and scores, (B, S, C); None: all."""
    truth: np.ndarray | None = None
    """The targets in original units, which scores are computed from, NaN where missing, (B, S, C), float64; None in
    batches that are not scored."""
    series: Tensor
    """Number of each window's series, (B,)."""
    first_step: Tensor
    """Number of the first step that each window predicts, see ``step_numbers``, (B,)."""
    centre: np.ndarray
    """A target in original units is ``centre + scale * target``, (B, C), float64."""
    scale: np.ndarray
    """Scale of each target, above 0; see ``centre``, (B, C), float64."""

    def in_units(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled values of the targets, (B, T, C), in original units: computed in float64."""
        values = scaled * self.scale[:, None]
        values += self.centre[:, None]
        return values

    def scaled_truth(self) -> np.ndarray:
        """The targets, scaled in float64, NaN where missing, (B, S, C)."""
        assert self.truth is not None
        return (self.truth - self.centre[:, None]) / self.scale[:, None]
