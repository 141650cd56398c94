"""Scoring a model on a split."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import nn

from seqtrain.config.trainer import Precision
from seqtrain.data.base import Batch
from seqtrain.tasks.base import Evaluation, Task
from seqtrain.training.device import autocast
from seqtrain.training.ranks import SOLO, Ranks


@torch.no_grad()  # not inference_mode: cuDNN's layers lay out their weights anew here after a step with dropped ones
def evaluate(
    model: nn.Module,
    head: nn.Module,
    task: Task,
    batches: Iterable[Batch],
    device: torch.device,
    precision: Precision,
    ranks: Ranks = SOLO,
) -> Evaluation:
    """Run over all batches without dropout, carrying state where the task does, and score the outputs.

    Of several processes each takes its rows of every batch; all return the same metrics, the first one the outputs too.
    Model and head are left in evaluation mode.
    """
    model.eval()
    head.eval()
    meter = task.meter(head)
    state = None
    for batch in batches:
        batch = batch.part(ranks.rank, ranks.size)
        if not batch.weight:
            continue
        batch = batch.to(device)
        with autocast(device, precision):
            features, state = task.features(model, head, batch, state)
            meter.update(features, batch)
        if not task.carries_state:
            state = None
    if ranks.size == 1:
        return meter.result()
    others = ranks.gather(meter.gathered())
    for other in others[1:]:
        meter.merge(other)
    evaluation = meter.result() if ranks.first else Evaluation({})
    return replace(evaluation, metrics=ranks.share(lambda: evaluation.metrics))
