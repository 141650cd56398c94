"""Runs a model over batches without training, and scores it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from seqtrain.config.trainer import Precision
from seqtrain.data.base import Batch
from seqtrain.tasks.base import Evaluation, Task
from seqtrain.training.device import autocast
from seqtrain.training.ranks import SOLO, Ranks

T = TypeVar("T")


def each_batch(
    model: nn.Module,
    head: nn.Module,
    task: Task,
    batches: Iterable[Batch],
    device: torch.device,
    precision: Precision,
    make: Callable[[Batch, Tensor], T],
) -> Iterator[T]:
    """Compute the features of each batch, without dropout and gradients, and apply a function to them.

    The recurrent state is carried from batch to batch if the task does so. Model and head are left in evaluation mode.

    Args:
        model: maps inputs to features.
        head: maps features to outputs.
        task: computes the features.
        batches: may be on any device.
        device: device of model and head.
        precision: number format of the computation.
        make: called with each batch, moved to the device, and its features.

    Yields:
        What ``make`` returns.
    """
    model.eval()
    head.eval()
    state = None
    for batch in batches:
        batch = batch.to(device)
        # Not inference_mode: cuDNN's layers would lay out their weights again after a step with weight drop.
        with torch.no_grad(), autocast(device, precision):
            features, state = task.features(model, head, batch, state)
            made = make(batch, features)
        if not task.carries_state:
            state = None
        yield made


def evaluate(
    model: nn.Module,
    head: nn.Module,
    task: Task,
    batches: Iterable[Batch],
    device: torch.device,
    precision: Precision,
    ranks: Ranks = SOLO,
) -> Evaluation:
    """Score a model on all batches; see ``each_batch`` for the arguments.

    With several processes, each computes its rows of every batch. All return the same metrics; only the first also
    returns the outputs.
    """
    meter = task.meter(head)
    shards = (batch.shard(ranks.rank, ranks.size) for batch in batches)
    own = (batch for batch in shards if batch.weight)
    for _ in each_batch(model, head, task, own, device, precision, meter.update):
        pass
    if ranks.size == 1:
        return meter.result()
    others = ranks.gather(meter.gathered())
    for other in others[1:]:
        meter.merge(other)
    evaluation = meter.result() if ranks.first else Evaluation({})
    return replace(evaluation, metrics=ranks.broadcast(lambda: evaluation.metrics))
