"""What a step minimises: model, head and task as one module, so that several processes can share its gradients."""

from typing import Any, cast

from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.tasks.base import Task


class Objective(nn.Module):
    """The training loss of a batch.

    Args:
        model: inputs to features.
        head: features to outputs.
        task: the loss.
    """

    def __init__(self, model: nn.Module, head: nn.Module, task: Task):
        super().__init__()
        self.model, self.head, self.task = model, head, task

    def forward(self, batch: Batch, state: Any) -> tuple[Tensor, Tensor, Any]:
        """Summed loss of a batch alone, the same with the model's penalties, and the state after the batch."""
        features, state = self.task.features(self.model, self.head, batch, state)
        loss = self.task.loss(self.head, features, batch)
        penalty = cast(Tensor | None, getattr(self.model, "penalty", None))
        return loss, loss if penalty is None else loss + penalty * self.task.count(batch), state
