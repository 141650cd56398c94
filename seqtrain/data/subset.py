"""Views of a dataset that use only a part of it, for a quick check that everything works.

A view is a copy of the dataset object with some methods replaced. It keeps the class, which tasks check.
"""

import math
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from seqtrain.data.base import Batch, Dataset
from seqtrain.data.corpus.dataset import SegmentBatch


def few_batches(data: Dataset, count: int | None) -> Dataset:
    """A dataset whose evaluation reads only the first batches of each split.

    ``source_rows`` is restricted to the rows of these batches, so that it still matches the outputs.

    Args:
        data: the dataset.
        count: number of batches with anything to score; None for all.
    """
    if count is None:
        return data

    def eval_batches(split: str) -> Iterator[Batch]:
        scored = 0
        for batch in data.eval_batches(split):
            yield batch
            scored += batch.num_tokens > 0  # the first batches of running text may be unscored context
            if scored == count:
                break

    def source_rows(split: str) -> np.ndarray:
        rows = np.concatenate([scored_rows(batch) for batch in eval_batches(split)])
        return data.source_rows(split)[np.sort(rows)]

    few = copy(data)
    vars(few).update(eval_batches=eval_batches, source_rows=source_rows)
    few.scoring = "; ".join([*filter(None, [data.scoring]), f"of the first {count} batches of each split alone"])
    return few


def scored_rows(batch: Batch) -> np.ndarray:
    """Position of each output of a batch among those of its split: of its row or, for running text, of its target."""
    if not isinstance(batch, SegmentBatch):
        return batch.rows
    assert batch.positions is not None
    positions = batch.positions if batch.scored is None else batch.positions[batch.scored]
    return positions.numpy().ravel() - 1


def one_batch(data: Dataset, rows: int | None) -> Dataset:
    """A dataset whose training consists of its first batch, once in every epoch.

    For running text the state is reset before the batch.

    Args:
        data: the dataset.
        rows: largest number of rows, taken evenly from the batch; None for all.
    """
    batch = next(data.train_batches(0))
    if rows is not None:
        batch = batch.shard(0, math.ceil(len(batch.rows) / rows))
    if isinstance(batch, SegmentBatch):
        first = torch.zeros(batch.inputs.shape, dtype=torch.bool)
        first[:, 0] = True
        batch = replace(batch, restarts=first if batch.restarts is None else batch.restarts | first)

    def train_batches(epoch: int, start: int = 0) -> Iterator[Batch]:
        yield from islice([batch], start, None)

    one = copy(data)
    vars(one).update(train_batches=train_batches, num_batches=lambda epoch: 1)
    return one
