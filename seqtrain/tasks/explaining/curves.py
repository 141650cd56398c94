"""Deletion and insertion curves: the score of a row without its most important steps, and with nothing else.

Shapes: B rows, T steps, F fractions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqtrain.data.base import Batch
from seqtrain.layers.masks import real_steps
from seqtrain.tasks.explaining.subject import Subject

FRACTIONS = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Shares of the steps that are removed or kept. Source: DeYoung et al. 2020, "ERASER", section 4.2."""
DRAWS = 5
"""Number of random orders whose curves are averaged."""


@dataclass(frozen=True)
class Curves:
    """Scores of rows by the share of steps that is removed or kept, (B, F) each, float64."""

    deletion: np.ndarray
    """Without the most important steps."""
    insertion: np.ndarray
    """With the most important steps only."""
    reverse: np.ndarray
    """Without the least important steps."""

    @classmethod
    def joined(cls, parts: Sequence["Curves"]) -> "Curves":
        """The curves of the rows of several batches."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def rows(self, places: np.ndarray) -> "Curves":
        """The curves of the rows at these places."""
        return Curves(self.deletion[places], self.insertion[places], self.reverse[places])


def curves(subject: Subject, batch: Batch, choice: Tensor, importance: Tensor) -> Curves:
    """The curves of the order that an importance (B, T) gives to the steps of each row.

    Of n steps ceil(fraction * n) are removed or kept. Of equally important steps, the first one is taken first.
    """
    lengths = batch.lengths[:, None]
    real = real_steps(batch.lengths, importance.shape[1])
    order = importance.masked_fill(~real, -torch.inf).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(1)

    def scores(kept: Tensor) -> np.ndarray:
        with torch.no_grad():
            found = subject.shown(subject.score(subject.without(batch, kept | ~real), choice))
        return found.double().cpu().numpy()

    counts = [torch.ceil(fraction * lengths.double() - 1e-9).long() for fraction in FRACTIONS]
    return Curves(
        deletion=np.stack([scores(rank >= count) for count in counts], axis=1),
        insertion=np.stack([scores(rank < count) for count in counts], axis=1),
        reverse=np.stack([scores(rank < lengths - count) for count in counts], axis=1),
    )


def random_curves(subject: Subject, batch: Batch, choice: Tensor) -> Curves:
    """Mean curves of ``DRAWS`` random orders."""
    shape, device = batch.inputs.shape[:2], batch.inputs.device
    drawn = [
        curves(subject, batch, choice, random_importance(batch.rows, shape[1], draw).to(device))
        for draw in range(DRAWS)
    ]
    return Curves(*(np.mean([getattr(each, name) for each in drawn], axis=0) for name in Curves.__dataclass_fields__))


def random_importance(rows: np.ndarray, num_steps: int, draw: int) -> Tensor:
    """Random numbers in [0, 1), (B, T), which depend on the number of the row, the step and the draw only.

    They are hashes, so that a row has the same order in every batch, without a generator for each row.

    Source: the hash is the finaliser of SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number
    generators").
    """
    mixed = np.add.outer(rows.astype(np.uint64) << np.uint64(24), np.arange(num_steps, dtype=np.uint64))
    mixed += np.uint64((draw + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for _ in range(2):  # once more, since neighbouring steps are neighbouring numbers
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return torch.from_numpy((mixed >> np.uint64(11)).astype(np.float64) / 2**53)
