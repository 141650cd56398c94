"""The training loss as one module of model, head and task, as DistributedDataParallel needs it."""

from enum import Enum
from typing import Any, cast

from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.tasks.base import Task
from seqtrain.training.adversarial import Adversary


class Turn(Enum):
    """A part of the training loss of a batch. Each is computed and differentiated before the next one begins."""

    rows = "rows"
    """The loss of the rows as they are, and penalties."""
    adversarial = "adversarial"
    """The loss of adversarially moved rows."""


class Objective(nn.Module):
    """The training loss of a batch.

    Args:
        model: maps inputs to features.
        head: maps features to outputs.
        task: defines the loss.

    Raises:
        ConfigError: if the model lacks what a regulariser of the task needs.
    """

    def __init__(self, model: nn.Module, head: nn.Module, task: Task):
        super().__init__()
        self.model, self.head, self.task = model, head, task
        options = task.regularisers
        self.adversary = Adversary(model, head, task, options) if options and options.adversarial else None
        self.turns = [Turn.rows] if self.adversary is None else [Turn.rows, Turn.adversarial]
        """The parts of the loss, in the order in which they must be computed."""

    def forward(self, batch: Batch, state: Any, turn: Turn = Turn.rows) -> tuple[Tensor, Tensor, Any]:
        """A part of the loss.

        Returns:
            The summed loss of the rows, to be logged; the part, to be minimised; and the recurrent state after the
            batch.
        """
        if turn is Turn.adversarial:
            assert self.adversary is not None
            extra = self.adversary.loss(batch)
            return extra.new_zeros(()), extra, None
        if self.adversary is not None:
            features = self.adversary.features(batch)
        else:
            features, state = self.task.features(self.model, self.head, batch, state)
        loss = self.task.loss(self.head, features, batch)
        penalty = cast(Tensor | None, getattr(self.model, "penalty", None))
        return loss, loss if penalty is None else loss + penalty * self.task.count(batch), state
