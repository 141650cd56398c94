"""Scoring a model on a split."""

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
    """Run over batches without dropout and gradients, carrying state where the task does.

    Model and head are left in evaluation mode.

    Args:
        model: inputs to features.
        head: features to outputs.
        task: how features are computed.
        batches: on any device.
        device: of model and head.
        precision: of the computation.
        make: called with each batch, on the device, and its features.

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
    """Score the outputs of all batches; see ``each_batch``.

    Of several processes each takes its rows of every batch; all return the same metrics, the first one the outputs too.
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
