"""Softmax cross-entropy of a linear layer over a large vocabulary, without the logits of all rows in memory.

The logits of N rows over V tokens are N * V numbers, 93 MB for a segment of 700 WikiText-2 words, written and read
several times by the usual linear layer and cross-entropy. Here the vocabulary is taken in blocks that stay in the
processor's cache: one pass gives the normaliser, and backward computes each block again.

Shapes: N rows, E features, V tokens.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from seqtrain.layers.products import matmul

BLOCK_LOGITS = 2**20  # logits in a block: 4 MB in fp32


class TokenScores(NamedTuple):
    """How well each target was predicted, (N,) each."""

    nats: Tensor
    """Negative log-probability."""
    rank: Tensor
    """Tokens that were more probable: 0 for a right prediction."""
    confidence: Tensor
    """Probability of the most probable token."""


def vocab_blocks(rows: int, vocab_size: int) -> list[tuple[int, int]]:
    """First and last (exclusive) token of each block of the vocabulary."""
    size = min(max(BLOCK_LOGITS // max(rows, 1), 256), vocab_size)
    return [(start, min(start + size, vocab_size)) for start in range(0, vocab_size, size)]


def block_logits(x: Tensor, weight: Tensor, bias: Tensor, start: int, end: int) -> Tensor:
    """Logits of a block of tokens in the type of the bias, (N, end - start); the product is in that of x."""
    return matmul(x, weight[start:end].to(x.dtype).t()) + bias[start:end]


def target_columns(targets: Tensor, start: int, end: int) -> tuple[Tensor, Tensor]:
    """Rows whose target is in a block, and its column there."""
    rows = ((targets >= start) & (targets < end)).nonzero().squeeze(1)
    return rows, targets[rows] - start


def compute_type(x: Tensor) -> torch.dtype:
    """Type of the products: that of autocast, where it is on."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class LinearCrossEntropy(torch.autograd.Function):
    """-log softmax(x W^T + b) of each row's target."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        """Nats of each row, (N,); products in the type of x, sums in that of the bias."""
        normalisers = []
        hit = bias.new_zeros(len(x))
        for start, end in vocab_blocks(len(x), len(weight)):
            logits = block_logits(x, weight, bias, start, end)
            rows, columns = target_columns(targets, start, end)
            hit[rows] = logits[rows, columns]
            normalisers.append(logits.logsumexp(-1))
        normaliser = torch.stack(normalisers).logsumexp(0)
        ctx.save_for_backward(x, weight, bias, targets, normaliser)
        return normaliser - hit

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Gradients of x, W and b from that of each row's nats."""
        x, weight, bias, targets, normaliser = ctx.saved_tensors
        grad_x = bias.new_zeros(x.shape)
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(bias)
        for start, end in vocab_blocks(len(x), len(weight)):
            difference = block_logits(x, weight, bias, start, end).sub_(normaliser[:, None]).exp_()
            rows, columns = target_columns(targets, start, end)
            difference[rows, columns] -= 1
            difference *= grad[:, None]
            grad_bias[start:end] = difference.sum(0)
            difference = difference.to(x.dtype)
            grad_x += matmul(difference, weight[start:end].to(x.dtype))
            grad_weight[start:end] = matmul(difference.t(), x)
        return grad_x.to(x.dtype), grad_weight, grad_bias, None


def linear_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Negative log-probability of each target under softmax(x W^T + b), in nats.

    The same as ``F.cross_entropy(F.linear(x, weight, bias), targets, reduction="none")``, with N * V / 2^20 times less
    memory; under autocast the products are in its type and all sums in that of the parameters.

    Args:
        x: features, (N, E).
        weight: W, (V, E).
        bias: b, (V,).
        targets: (N,).

    Returns:
        (N,), in the type of the parameters.
    """
    x = x.to(compute_type(x))
    with torch.autocast(x.device.type, enabled=False):
        return LinearCrossEntropy.apply(x, weight, bias, targets)


@torch.no_grad()
def token_scores(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> TokenScores:
    """The same with the target's rank and the highest probability; see ``linear_cross_entropy``."""
    x = x.to(compute_type(x))
    with torch.autocast(x.device.type, enabled=False):
        # The target's logit by a product of its own is compared with no copy of itself: its column is taken out below.
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
