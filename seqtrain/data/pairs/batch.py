"""Batches of pairs of texts.

Shapes: B batch, S source steps, T target steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from seqtrain.data.base import Batch


@dataclass(kw_only=True)
class PairBatch(Batch):
    """A batch of pairs: inputs are source tokens (B, S), targets are target tokens (B, T), each with its end.

    ``lengths`` and ``num_tokens`` are of the sources.
    """

    previous: Tensor
    """The token before each target, (B, T): the beginning, then the targets but the last."""
    target_lengths: Tensor
    """Number of real steps of each target, its end included, (B,)."""
    references: np.ndarray | None = None
    """Target texts as they are in the data, (B,), of type object; None in training."""
    decode: Callable[[Sequence[Sequence[int]]], list[str]] | None = None
    """Turns rows of target tokens into texts; None in training."""
    translations: list[list[int]] | None = None
    """Target tokens of the best translation of each pair that is translated; set when a model is scored."""

    def chosen(self, rows: Tensor) -> "PairBatch":
        """The pairs at ``rows``, places in the batch."""
        kept: dict[str, Any] = {
            name: value[rows if isinstance(value, Tensor) else rows.cpu().numpy()]
            for name, value in vars(self).items()
            if isinstance(value, Tensor | np.ndarray)
        }
        return replace(self, **kept, num_tokens=int(kept["lengths"].sum()))
