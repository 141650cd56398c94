"""Where attention looks: measures of its weights over the probe batch.

Shapes: B batch, N heads, T queries, S steps of the memory.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seqtrain.layers.masks import real_steps


@dataclass(frozen=True)
class Weights:
    """Weights of one call of an attention layer, and what its queries could see."""

    values: Tensor
    """(B, N, T, S), in fp64; each query's sum to 1."""
    visible: Tensor
    """True where a query could see a step, (B, T, S)."""
    queries: Tensor
    """True at queries that are real steps, (B, T)."""
    real: Tensor
    """True at steps of the memory that are real, (B, S)."""

    @classmethod
    def of(
        cls, recorded: Tensor, lengths: Tensor, context_length: int | None = None, own_steps: bool = True
    ) -> "Weights":
        """The weights that a layer recorded: (B, N, T, S), (B, T, S) or (B, S).

        Args:
            recorded: the weights.
            lengths: real steps of each row, (B,), of the memory; and of the queries, if there are as many.
            context_length: steps that a query sees, its own included, if the model is causal; None for all.
            own_steps: whether as many queries as steps are the steps of the memory.
        """
        values, lengths = recorded.cpu().double(), lengths.cpu()  # some devices have no fp64
        values = values[:, None, None] if values.dim() == 2 else values[:, None] if values.dim() == 3 else values
        B, _, T, S = values.shape
        real = real_steps(lengths, S)
        visible = real[:, None].expand(B, T, S)
        queries = real if own_steps and T == S else torch.ones(B, T, dtype=torch.bool, device=real.device)
        if context_length is not None and T == S:
            step = torch.arange(S, device=real.device)
            distance = step[:, None] - step
            visible = visible & (distance >= 0) & (distance < context_length)
        return cls(values, visible, queries, real)

    def mean(self, measured: Tensor, where: Tensor | None = None) -> float:
        """Mean of a measure (B, N, T) over heads and real queries, those where ``where`` (B, T); NaN without any."""
        kept = (self.queries if where is None else self.queries & where)[:, None].expand_as(measured)
        return float(measured[kept].mean())


def entropy(values: Tensor) -> Tensor:
    """Entropy over the last axis, in nats."""
    return -torch.special.xlogy(values, values).sum(-1)


def relative_entropy(weights: Weights) -> float:
    """Entropy of the weights over that of equal weights on all visible steps: 1 is a plain mean, 0 a single step.

    Queries that see one step only are left out; NaN if all do.
    """
    visible = weights.visible.sum(-1)
    largest = visible.clamp(min=2).double().log()
    return weights.mean(entropy(weights.values) / largest[:, None], visible > 1)


def padding_mass(weights: Weights) -> float:
    """Share of the attention on padding; must be 0."""
    return weights.mean((weights.values * ~weights.real[:, None, None]).sum(-1))


def first_mass(weights: Weights) -> float:
    """Share of the attention on the first step of the memory."""
    return weights.mean(weights.values[..., 0])


def last_mass(weights: Weights) -> float:
    """Share of the attention on the last step that the query could see: its own in a causal model."""
    last = weights.visible.shape[-1] - 1 - weights.visible.flip(-1).to(torch.int8).argmax(-1)
    return weights.mean(weights.values.gather(-1, last[:, None, :, None].expand(*weights.values.shape[:3], 1))[..., 0])


def mass_on(weights: Weights, chosen: Tensor) -> float:
    """Share of the attention on chosen steps of the memory, true in (B, S)."""
    return weights.mean((weights.values * (chosen & weights.real)[:, None, None]).sum(-1))


def distance(weights: Weights) -> float:
    """Mean distance in steps between a query and what it attends to; NaN unless both are steps of the same row."""
    T, S = weights.values.shape[2:]
    if T != S:
        return math.nan
    step = torch.arange(S, device=weights.values.device, dtype=weights.values.dtype)
    return weights.mean((weights.values * (step[:, None] - step).abs()).sum(-1))


def agreement(weights: Weights) -> float:
    """How alike the heads are: 1 if all have the same weights, 0 if no two share a step; NaN with one head.

    It is 1 minus the Jensen-Shannon divergence of the heads, divided by its largest value, log N.
    """
    N = weights.values.shape[1]
    if N == 1:
        return math.nan
    divergence = entropy(weights.values.mean(1, keepdim=True)) - entropy(weights.values).mean(1, keepdim=True)
    return 1 - weights.mean(divergence) / math.log(N)
