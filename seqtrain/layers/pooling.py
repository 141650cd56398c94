"""Pooling: from the states of a sequence to one vector. Padding never counts.

Shapes: B batch, T time, H hidden, S steps of the memory.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqtrain.layers.attention import AdditiveSelfPooling
from seqtrain.layers.masks import real_steps

PARTS = {"attention_max": 2, "concat": 3}
"""How many poolings the kinds that concatenate some have."""


class MeanAndMax(torch.autograd.Function):
    """Autograd function of mean and maximum over the real steps, which writes one gradient of the states for both.

    That takes half the time of two functions. Of equal states, the first is the maximum.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and maximum, (B, H) each, of states (B, T, H) over the first ``lengths`` (B,) steps."""
        real = real_steps(lengths, states.shape[1])[..., None]
        largest, where = states.masked_fill(~real, -torch.inf).max(1)
        ctx.save_for_backward(lengths, real, where)
        return (states * real).sum(1).to(states.dtype) / lengths[:, None], largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_mean: Tensor, grad_largest: Tensor) -> tuple[Tensor, None]:
        """Gradient of the states, (B, T, H)."""
        lengths, real, where = ctx.saved_tensors
        grad = (grad_mean / lengths[:, None])[:, None] * real
        return grad.scatter_add_(1, where[:, None], grad_largest[:, None]), None


class Pooling(nn.Module):
    """Pool the states over the real steps of each row.

    Args:
        kind: ``last`` (the state after the last real step; for the backward half of a bidirectional layer, the state
            at the first step), ``mean``, ``max``, ``attention`` (see AdditiveSelfPooling), ``attention_max`` (both,
            concatenated) or ``concat`` (last, mean and max, concatenated).
        size: H.
        bidirectional: the second half of the features runs backward.
        kernel: implementation of the attention: ``torch``, ``auto`` or ``fused``, see seqtrain.layers.fused.

    Source: for ``concat``, Howard and Ruder 2018, "Universal language model fine-tuning for text classification",
    section 3.3; there the maximum stands before the mean.
    """

    def __init__(self, kind: str, size: int, bidirectional: bool, kernel: str = "torch"):
        super().__init__()
        self.kind = kind
        self.bidirectional = bidirectional
        self.attention = AdditiveSelfPooling(size, kernel) if kind.startswith("attention") else None
        self.output_size = PARTS.get(kind, 1) * size

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Pool states (B, T, H) with ``lengths`` (B,) to (B, output_size)."""
        if self.kind == "concat":
            return torch.cat([self.last(states, lengths), *MeanAndMax.apply(states, lengths)], dim=-1)
        if self.kind == "last":
            return self.last(states, lengths)
        parts = [] if self.attention is None else [self.attention(states, lengths)]
        if self.kind != "attention":
            real = real_steps(lengths, states.shape[1])[..., None]
            if self.kind == "mean":
                parts.append((states * real).sum(1) / lengths[:, None])
            else:
                parts.append(states.masked_fill(~real, -torch.inf).amax(1))
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    def last(self, states: Tensor, lengths: Tensor) -> Tensor:
        """The states that have read the whole row, (B, H)."""
        last = states[torch.arange(len(states), device=states.device), lengths - 1]
        if not self.bidirectional:
            return last
        half = states.shape[-1] // 2
        return torch.cat([last[:, :half], states[:, 0, half:]], dim=-1)


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
