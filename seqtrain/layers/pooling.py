"""Pooling: from the states of a sequence to one vector. Padding never counts.

Shapes: B batch, T time, H hidden, S steps of the memory.
"""

import torch
from torch import Tensor, nn

from seqtrain.layers.attention import AdditiveSelfPooling
from seqtrain.layers.masks import real_steps


class Pooling(nn.Module):
    """Pool the states over the real steps of each row.

    Args:
        kind: ``last`` (the state after the last real step; for the backward half of a bidirectional layer, the state
            at the first step), ``mean``, ``max``, ``attention`` (see AdditiveSelfPooling) or ``attention_max`` (both,
            concatenated).
        size: H.
        bidirectional: the second half of the features runs backward.
        kernel: implementation of the attention: ``torch``, ``auto`` or ``fused``, see seqtrain.layers.fused.
    """

    def __init__(self, kind: str, size: int, bidirectional: bool, kernel: str = "torch"):
        super().__init__()
        self.kind = kind
        self.bidirectional = bidirectional
        self.attention = AdditiveSelfPooling(size, kernel) if kind.startswith("attention") else None
        self.output_size = 2 * size if kind == "attention_max" else size

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Pool states (B, T, H) with ``lengths`` (B,) to (B, output_size)."""
        if self.kind == "last":
            last = states[torch.arange(len(states), device=states.device), lengths - 1]
            if not self.bidirectional:
                return last
            half = states.shape[-1] // 2
            return torch.cat([last[:, :half], states[:, 0, half:]], dim=-1)
        parts = [] if self.attention is None else [self.attention(states, lengths)]
        if self.kind != "attention":
            real = real_steps(lengths, states.shape[1])[..., None]
            if self.kind == "mean":
                parts.append((states * real).sum(1) / lengths[:, None])
            else:
                parts.append(states.masked_fill(~real, -torch.inf).amax(1))
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]


class StepwisePooling(nn.Module):
    """Attention pooling for tasks with one prediction per step.

    The output at a step is its state, concatenated with the pooled states that the step sees.

    Args:
        size: H.
    """

    def __init__(self, size: int):
        super().__init__()
        self.attention = AdditiveSelfPooling(size)
        self.output_size = 2 * size

    def forward(self, states: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Append to each state the pooled states of the memory.

        Args:
            states: (B, T, H).
            memory: states to pool, (B, S, H).
            mask: true where a step sees a state of the memory, (B, T, S), or (B, 1, S) if all steps see the same.

        Returns:
            (B, T, 2 H).
        """
        pooled = self.attention.pool_each_step(memory, mask).expand_as(states)
        return torch.cat([states, pooled], dim=-1)
