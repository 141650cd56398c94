"""Self-attention blocks in place of recurrence.

Shapes: B batch, T time, D features.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.layers.attention import Attention, allowed, linear
from seqtrain.layers.recurrence import real_steps


def sinusoids(num_steps: int, size: int, device: torch.device) -> Tensor:
    """Positions as sines and cosines of wavelengths from 2 pi to 10000 * 2 pi, (T, D).

    Source: Vaswani et al. 2017, section 3.5; here the sines stand before the cosines instead of in turn.
    """
    half = (size + 1) // 2
    rate = torch.exp(torch.arange(half, device=device) * (-math.log(10_000.0) / half))
    angle = torch.arange(num_steps, device=device)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=-1)[:, :size]


class SelfAttentionBlock(Attention):
    """x + attention(norm x), then x + feed-forward(norm x).

    Queries, keys and values are learned maps of the normalised input, with tanh after them if asked for.

    Args:
        size: D.
        num_heads: heads of D / num_heads features each.
        feed_forward_size: hidden size of the feed-forward part.
        qkv_tanh: tanh on queries, keys and values.
        dropout: on the weights, on both parts' outputs and inside the feed-forward part.

    Raises:
        ValueError: if num_heads does not divide D.

    Source: Vaswani et al. 2017, with the normalisation before each part (Xiong et al. 2020).
    """

    def __init__(self, size: int, num_heads: int, feed_forward_size: int, qkv_tanh: bool, dropout: float):
        super().__init__()
        if size % num_heads:
            raise ValueError(f"num_heads={num_heads}: must divide the size of the model, {size}")
        self.num_heads = num_heads
        self.qkv_tanh = qkv_tanh
        self.norm_attention, self.norm_feed_forward = nn.LayerNorm(size), nn.LayerNorm(size)
        self.qkv, self.output = linear(size, 3 * size), linear(size, size)
        self.feed_forward = nn.Sequential(
            nn.Linear(size, feed_forward_size), nn.GELU(), nn.Dropout(dropout), nn.Linear(feed_forward_size, size)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor, causal: bool) -> Tensor:
        """Features (B, T, D) of features (B, T, D), of which ``real`` (B, T) are no padding."""
        qkv = self.qkv(self.norm_attention(x))
        qkv = torch.tanh(qkv) if self.qkv_tanh else qkv
        q, k, v = qkv.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        p = self.dropout.p if self.training else 0.0
        if causal:
            attended = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        else:
            attended = F.scaled_dot_product_attention(q, k, v, real[:, None, None, :], dropout_p=p)
        if self.recorder is not None:
            scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
            mask = allowed(real, x.shape[1], causal)[:, None]
            self.record(scores.masked_fill(~mask, -torch.inf).softmax(-1).mean(1))
        x = x + self.dropout(self.output(attended.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))


class SelfAttentionStack(nn.Module):
    """Positions, blocks, and a last normalisation; stands where a RecurrentStack may stand.

    Args:
        size: D.
        num_layers: blocks.
        num_heads, feed_forward_size, qkv_tanh, dropout: of each block.
        positions: add sinusoids to the input, times sqrt(D) (Vaswani et al. 2017, section 3.4); without them the order
            of the steps is not seen.
        causal: a step sees itself and those before it only.
    """

    bidirectional = False

    def __init__(
        self,
        size: int,
        num_layers: int,
        num_heads: int,
        feed_forward_size: int,
        *,
        qkv_tanh: bool = False,
        dropout: float = 0.0,
        positions: bool = True,
        causal: bool = False,
    ):
        super().__init__()
        self.blocks = nn.ModuleList(
            SelfAttentionBlock(size, num_heads, feed_forward_size, qkv_tanh, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.positions = positions
        self.causal = causal
        self.output_size = size

    def forward(self, x: Tensor, lengths: Tensor, state: Any = None) -> tuple[Tensor, None]:
        """Features (B, T, D) of inputs (B, T, D) with ``lengths`` (B,); there is no state to carry."""
        real = real_steps(lengths, x.shape[1])
        if self.positions:
            x = x * x.shape[2] ** 0.5 + sinusoids(x.shape[1], x.shape[2], x.device).to(x.dtype)
        for block in self.blocks:
            x = block(x, real, self.causal)
        return self.norm(x), None
