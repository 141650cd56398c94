"""Sums over the steps between two log entries, from which an entry is computed."""

import time
from dataclasses import dataclass

import torch

from seqtrain.data.base import Batch
from seqtrain.training.ranks import Ranks


@dataclass
class StepSums:
    """Sums over this process's steps since the last log entry."""

    loss: float = 0.0
    """Sum over the steps of this process's share of the mean loss, times the step's weight."""
    regularisation: float = 0.0
    """The same sum of what regularisers and penalties add to the loss, if the task has regularisers."""
    weight: float = 0.0
    """Sum of the steps' weights: what their summed losses were divided by, over all processes."""
    grad_norm: float = 0.0
    """Largest gradient norm of a step."""
    tokens: int = 0
    steps: int = 0
    clipped: int = 0
    """Steps whose gradient was clipped."""
    places: int = 0
    """Tokens including padding."""
    seconds: float = 0.0
    """Time spent on these steps before the last checkpoint."""

    def add(
        self, loss: float, regularisation: float, weight: float, grad_norm: float, limit: float, group: list[Batch]
    ) -> None:
        """Add a step, whose gradient was clipped to the norm ``limit``."""
        self.loss += loss * weight
        self.regularisation += regularisation * weight
        self.weight += weight
        self.grad_norm = max(self.grad_norm, grad_norm)
        self.steps += 1
        self.clipped += grad_norm > limit
        self.tokens += sum(batch.num_tokens for batch in group)
        self.places += sum(batch.inputs.shape[0] * batch.inputs.shape[1] for batch in group)

    def entry(self, started: float, ranks: Ranks) -> dict[str, float]:
        """The log entry of all processes; ``started`` is when the sums started, on the monotonic clock."""
        sums = torch.tensor([self.loss, self.tokens, self.places, self.regularisation], dtype=torch.double)
        loss, tokens, places, regularisation = ranks.sum(sums).tolist()
        return {
            "train/loss": loss / self.weight,
            **({"train/regularisation": regularisation / self.weight} if regularisation else {}),
            "train/grad_norm": self.grad_norm,
            "train/tokens_per_second": tokens / (time.monotonic() - started),
            "train/padding_waste": 1 - tokens / places,
        }
