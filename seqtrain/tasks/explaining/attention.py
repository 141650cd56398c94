"""The attention of a model over its inputs: one weight for each step, whatever kinds of attention the model has.

Shapes: B rows, T steps, Q queries.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from seqtrain.layers.attention import Attention
from seqtrain.layers.masks import real_steps
from seqtrain.layers.pooling import Pooling

POOLING, OUTPUT, INPUT = "pooling.attention", "output_attention.attention", "input_attention.attention"
BLOCKS = "encoder.blocks."


def attends(model: nn.Module) -> bool:
    """Whether a model has an attention that ``attention_over_steps`` can read."""
    names = [name for name, layer in model.named_modules() if isinstance(layer, Attention)]
    return any(name in (POOLING, OUTPUT, INPUT) or name.startswith(BLOCKS) for name in names)


def attention_over_steps(model: nn.Module, weights: Mapping[str, Sequence[Tensor]], lengths: Tensor) -> Tensor:
    """The weight of each step, (B, T): 0 on padding, and 1 in total for each row.

    Of several kinds, the one nearest to the output counts:

    - self-attention blocks: their rollout, see ``rollout``, seen from the steps as the pooling weighs them;
    - attention pooling: its weights;
    - output attention: mean of its weights over the real queries, or those of the only query;
    - input attention: mean of its weights over the real queries.

    Weights of several heads are averaged.

    Args:
        model: the model.
        weights: weights of each of its attention layers, from ``recorded_weights``.
        lengths: real steps of each row, (B,).
    """
    found = {name: calls[0].float() for name, calls in weights.items() if calls}
    blocks = [found[name] for name in found if name.startswith(BLOCKS)]
    pooled = found.get(POOLING)
    if blocks:
        queries = pooled if pooled is not None else pooling_weights(model, lengths, blocks[0].shape[-1])
        return (queries[:, None] @ rollout(blocks)).squeeze(1)
    if pooled is not None:
        return pooled
    return mean_over_queries(found[OUTPUT] if OUTPUT in found else found[INPUT], lengths)


def rollout(blocks: Sequence[Tensor]) -> Tensor:
    """How much of each input reaches each output of a stack of blocks, (B, T, T), rows of sum 1.

    A block mixes (A + I) / 2, where A are its weights and I is its residual connection; blocks are multiplied.

    Source: Abnar and Zuidema 2020, "Quantifying attention flow in transformers", section 3, attention rollout.
    """
    mixed = torch.eye(blocks[0].shape[-1], device=blocks[0].device).expand_as(blocks[0])
    for weights in blocks:
        mixed = (weights @ mixed + mixed) / 2
    return mixed


def pooling_weights(model: nn.Module, lengths: Tensor, num_steps: int) -> Tensor:
    """Weight of each step in a pooling without attention, (B, T): the last real step, or all real steps alike."""
    pooling = getattr(model, "pooling", None)
    if isinstance(pooling, Pooling) and pooling.kind == "last":
        return nn.functional.one_hot(lengths - 1, num_steps).float()
    return real_steps(lengths, num_steps) / lengths[:, None]


def mean_over_queries(weights: Tensor, lengths: Tensor) -> Tensor:
    """Mean of weights (B, Q, T) over the queries, (B, T); those at padded steps do not count."""
    if weights.shape[1] != weights.shape[2]:  # one query, or one for each step of a horizon
        return weights.mean(1)
    real = real_steps(lengths, weights.shape[1])[..., None]
    return (weights * real).sum(1) / lengths[:, None]
