"""A meter that keeps the logits and targets of every row, for tasks with one prediction per sequence.

Shapes: N rows, C classes.
"""

import numpy as np
import torch
from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.tasks.base import Meter


class LogitMeter(Meter):
    """Collects the logits and targets of every row; a subclass computes the scores.

    Args:
        head: map from features to logits.
    """

    taken_in = ("logits", "targets", "rows")

    def __init__(self, head: nn.Module):
        self.head = head
        self.logits: list[Tensor] = []
        self.targets: list[Tensor] = []
        self.rows: list[np.ndarray] = []

    def update(self, batch: Batch, features: Tensor) -> None:
        self.logits.append(self.head(features).float().cpu())
        self.targets.append(batch.targets.cpu())
        self.rows.append(batch.rows)

    def in_order(self) -> tuple[Tensor, Tensor]:
        """Logits (N, C), float64, and targets of all rows, in the order of the split."""
        order = torch.from_numpy(np.argsort(np.concatenate(self.rows)))
        return torch.cat(self.logits)[order].double(), torch.cat(self.targets)[order]
