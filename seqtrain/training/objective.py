"""The training loss as one module of model, head and task, as DistributedDataParallel needs it."""

from enum import Enum
from typing import Any, cast

from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.tasks.base import Task
from seqtrain.training.adversarial import Adversary
from seqtrain.training.regularisers import mixup_loss, rdrop_loss
from seqtrain.training.virtual_adversarial import VirtualAdversary


class Turn(Enum):
    """A part of the training loss of a batch. Each is computed and differentiated before the next one begins."""

    rows = "rows"
    """The loss of the rows as they are, and penalties."""
    adversarial = "adversarial"
    """The loss of adversarially moved rows."""
    virtual = "virtual"
    """The divergence of predictions for moved rows, and for moved rows without labels."""


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
        self.virtual = VirtualAdversary(model, head, task, options) if options and options.virtual_adversarial else None
        further = {Turn.adversarial: self.adversary, Turn.virtual: self.virtual}
        self.turns = [Turn.rows, *(turn for turn, part in further.items() if part is not None)]
        """The parts of the loss, in the order in which they must be computed."""
        self.regularised = options is not None and options.any()

    def forward(self, batch: Batch, state: Any, turn: Turn = Turn.rows) -> tuple[Tensor, Tensor, Any]:
        """A part of the loss.

        Returns:
            The summed loss of the rows, to be logged; the part, to be minimised; and the recurrent state after the
            batch.
        """
        options = self.task.regularisers
        if turn is not Turn.rows:
            part = self.adversary if turn is Turn.adversarial else self.virtual
            assert part is not None
            extra = part.loss(batch)
            return extra.new_zeros(()), extra, None
        if self.adversary is not None:
            features = self.adversary.features(batch)
        else:
            features, state = self.task.features(self.model, self.head, batch, state)
        penalty = cast(Tensor | None, getattr(self.model, "penalty", None))
        if options is not None and options.rdrop:
            others, _ = self.task.features(self.model, self.head, batch, None)
            loss, minimised = rdrop_loss(self.head, self.task, features, others, batch)
        else:
            loss = minimised = self.task.loss(self.head, features, batch)
        if options is not None and options.mixup:
            minimised = mixup_loss(self.head, self.task, features, batch)
        return loss, minimised if penalty is None else minimised + penalty * self.task.count(batch), state
