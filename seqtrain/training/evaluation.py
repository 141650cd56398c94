"""Scoring a model on a split."""

from collections.abc import Iterable

import torch
from torch import nn

from seqtrain.config.trainer import Precision
from seqtrain.data.base import Batch
from seqtrain.tasks.base import Evaluation, Task
from seqtrain.training.device import autocast


@torch.no_grad()  # not inference_mode: cuDNN's layers lay out their weights anew here after a step with dropped ones
def evaluate(
    model: nn.Module,
    head: nn.Module,
    task: Task,
    batches: Iterable[Batch],
    device: torch.device,
    precision: Precision,
) -> Evaluation:
    """Run over all batches without dropout, carrying state where the task does, and score the outputs.

    Model and head are left in evaluation mode.
    """
    model.eval()
    head.eval()
    meter = task.meter(head)
    state = None
    for batch in batches:
        batch = batch.to(device)
        with autocast(device, precision):
            features, state = task.features(model, head, batch, state)
            meter.update(features, batch)
        if not task.carries_state:
            state = None
    return meter.result()
