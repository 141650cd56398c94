"""What a run says of its steps between two log entries."""

import time
from dataclasses import dataclass

import torch

from seqtrain.data.base import Batch
from seqtrain.training.ranks import Ranks


@dataclass
class StepSums:
    """Sums over the steps since the last log entry, of this process."""

    loss: float = 0.0
    """Mean loss of each step, this process's share of it, times the step's weight."""
    weight: float = 0.0
    """What the losses of the steps were divided by, of all processes."""
    grad_norm: float = 0.0
    """The largest."""
    tokens: int = 0
    places: int = 0
    """Tokens and padding."""
    seconds: float = 0.0
    """Spent before the last checkpoint."""

    def add(self, loss: float, weight: float, grad_norm: float, group: list[Batch]) -> None:
        """Take in a step."""
        self.loss += loss * weight
        self.weight += weight
        self.grad_norm = max(self.grad_norm, grad_norm)
        self.tokens += sum(batch.num_tokens for batch in group)
        self.places += sum(batch.inputs.shape[0] * batch.inputs.shape[1] for batch in group)

    def entry(self, started: float, ranks: Ranks) -> dict[str, float]:
        """The log entry, summed over the processes; ``started`` is when they did, on the monotonic clock."""
        sums = torch.tensor([self.loss, self.tokens, self.places], dtype=torch.double)
        loss, tokens, places = ranks.sum(sums).tolist()
        return {
            "train/loss": loss / self.weight,
            "train/grad_norm": self.grad_norm,
            "train/tokens_per_second": tokens / (time.monotonic() - started),
            "train/padding_waste": 1 - tokens / places,
        }
