"""Softmax cross-entropy of a linear layer over a large vocabulary, without storing all logits.

The logits of N rows over V tokens are N * V numbers: 93 MB for a segment of 700 WikiText-2 words. A linear layer
followed by cross-entropy reads and writes them several times. Here the vocabulary is processed in blocks that fit in
the processor's cache. One pass computes the normaliser, and the backward pass recomputes each block, unless all logits
together are few enough to be kept: then a quarter of the multiplications is saved.

Shapes: N rows, D features, V vocabulary.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from seqtrain.layers.products import matmul

BLOCK_LOGITS = 2**20
"""Logits in a block; 4 MB in fp32."""
KEPT_LOGITS = 2**23
"""Most logits that are kept for the backward pass; 32 MB in fp32."""


class TokenScores(NamedTuple):
    """How well each target token is predicted; all fields are (N,)."""

    nats: Tensor
    """Negative log-probability of the target, in nats."""
    rank: Tensor
    """Number of tokens with a higher probability than the target; 0 for a correct prediction."""
    confidence: Tensor
    """Probability of the most probable token."""


def vocab_blocks(rows: int, vocab_size: int) -> list[tuple[int, int]]:
    """Blocks of the vocabulary as (first token, last token + 1)."""
    size = min(max(BLOCK_LOGITS // max(rows, 1), 256), vocab_size)
    return [(start, min(start + size, vocab_size)) for start in range(0, vocab_size, size)]


def block_logits(x: Tensor, weight: Tensor, bias: Tensor, start: int, end: int) -> Tensor:
    """Logits (N, end - start) of a block of tokens, in the dtype of the bias; the product is in the dtype of x."""
    return matmul(x, weight[start:end].to(x.dtype).t()) + bias[start:end]


def target_columns(targets: Tensor, start: int, end: int) -> tuple[Tensor, Tensor]:
    """Rows whose target lies in a block, and the column of each target within the block."""
    rows = ((targets >= start) & (targets < end)).nonzero().squeeze(1)
    return rows, targets[rows] - start


def compute_type(x: Tensor) -> torch.dtype:
    """Dtype of the products: autocast's where autocast is on, else that of x."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class LinearCrossEntropy(torch.autograd.Function):
    """Autograd function -log softmax(x W^T + b) of each row's target."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        """Loss of each row in nats, (N,); products are in the dtype of x, sums in that of the bias."""
        normalisers: list[Tensor] = []
        kept: list[Tensor] = []
        keeps = len(x) * len(weight) <= KEPT_LOGITS
        hit = bias.new_zeros(len(x))
        for start, end in vocab_blocks(len(x), len(weight)):
            logits = block_logits(x, weight, bias, start, end)
            rows, columns = target_columns(targets, start, end)
            hit[rows] = logits[rows, columns]
            normalisers.append(logits.logsumexp(-1))
            if keeps:
                kept.append(logits)
        normaliser = torch.stack(normalisers).logsumexp(0)
        ctx.save_for_backward(x, weight, bias, targets, normaliser, *kept)
        return normaliser - hit

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        """Gradients of x, W and b from the gradient of each row's loss."""
        x, weight, bias, targets, normaliser, *kept = ctx.saved_tensors
        grad_x = bias.new_zeros(x.shape) if ctx.needs_input_grad[0] else None
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(bias)
        for number, (start, end) in enumerate(vocab_blocks(len(x), len(weight))):
            logits = kept[number] if kept else block_logits(x, weight, bias, start, end)
            difference = torch.sub(logits, normaliser[:, None], out=None if kept else logits).exp_()
            rows, columns = target_columns(targets, start, end)
            difference[rows, columns] -= 1
            difference *= grad[:, None]
            grad_bias[start:end] = difference.sum(0)
            difference = difference.to(x.dtype)
            if grad_x is not None:
                grad_x += matmul(difference, weight[start:end].to(x.dtype))
            grad_weight[start:end] = matmul(difference.t(), x)
        return None if grad_x is None else grad_x.to(x.dtype), grad_weight, grad_bias, None


def linear_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Negative log-probability of each target under softmax(x W^T + b), in nats.

    Equals ``F.cross_entropy(F.linear(x, weight, bias), targets, reduction="none")``. Beyond ``KEPT_LOGITS`` logits it
    takes N * V / 2^20 times less memory. Under autocast the products are in its dtype and all sums in the dtype of the
    parameters.

    Args:
        x: features, (N, D).
        weight: W, (V, D).
        bias: b, (V,).
        targets: (N,).

    Returns:
        (N,), in the dtype of the parameters.
    """
    x = x.to(compute_type(x))
    with torch.autocast(x.device.type, enabled=False):
        return LinearCrossEntropy.apply(x, weight, bias, targets)


@torch.no_grad()
def token_scores(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> TokenScores:
    """Loss, rank and highest probability of each row; arguments as in ``linear_cross_entropy``."""
    x = x.to(compute_type(x))
    with torch.autocast(x.device.type, enabled=False):
        # This product may round differently from the block's. The target's column is masked below, so that the target
        # is never compared with itself.
        hit = (x.to(bias.dtype) * weight[targets].to(x.dtype)).sum(-1) + bias[targets]
        rank = torch.zeros_like(targets)
        highest = hit.clone()
        normalisers = [hit]
        for start, end in vocab_blocks(len(x), len(weight)):
            logits = block_logits(x, weight, bias, start, end)
            rows, columns = target_columns(targets, start, end)
            logits[rows, columns] = -torch.inf
            rank += (logits > hit[:, None]).sum(-1)
            highest = torch.maximum(highest, logits.amax(-1))
            normalisers.append(logits.logsumexp(-1))
        normaliser = torch.stack(normalisers).logsumexp(0)
    return TokenScores(normaliser - hit, rank, (highest - normaliser).exp())
