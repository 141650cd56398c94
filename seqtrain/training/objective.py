"""The training loss as one module of model, head and task, as DistributedDataParallel needs it."""

from typing import Any, cast

from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.tasks.base import Task


class Objective(nn.Module):
    """The training loss of a batch.

    Args:
        model: maps inputs to features.
        head: maps features to outputs.
        task: defines the loss.
    """

    def __init__(self, model: nn.Module, head: nn.Module, task: Task):
        super().__init__()
        self.model, self.head, self.task = model, head, task

    def forward(self, batch: Batch, state: Any) -> tuple[Tensor, Tensor, Any]:
        """The summed loss of a batch, that loss plus the model's penalties, and the recurrent state after the batch."""
        features, state = self.task.features(self.model, self.head, batch, state)
        loss = self.task.loss(self.head, features, batch)
        penalty = cast(Tensor | None, getattr(self.model, "penalty", None))
        return loss, loss if penalty is None else loss + penalty * self.task.count(batch), state
