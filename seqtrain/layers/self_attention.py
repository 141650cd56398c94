"""Self-attention blocks, which can replace recurrent layers.

Shapes: B batch, T time, S steps of the memory, D features, N heads, d features of a head.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqtrain.layers.attention import Attention, xavier_linear
from seqtrain.layers.dropout import Dropout
from seqtrain.layers.memory import append_steps
from seqtrain.layers.products import Linear


def sinusoidal_positions(num_steps: int, size: int, device: torch.device) -> Tensor:
    """Sines and cosines of the positions, with wavelengths from 2 pi to 10000 * 2 pi, (T, D).

    Source: Vaswani et al. 2017, section 3.5. Here all sines stand before all cosines; in the paper they alternate.
    """
    half = (size + 1) // 2
    rate = torch.exp(torch.arange(half, device=device) * (-math.log(10_000.0) / half))
    angle = torch.arange(num_steps, device=device)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=-1)[:, :size]


def apply_rotary(x: Tensor, first: int) -> Tensor:
    """Rotate queries or keys by angles in proportion to their positions (rotary position embedding).

    The product of a query and a key then depends only on the distance between them.

    Args:
        x: (B, N, T, d).
        first: position of the first step.

    Source: Su et al. 2021, "RoFormer", eq. 34. Here the two numbers of a pair are d/2 apart; if d is odd, the last
    number stays as it is.
    """
    half = x.shape[-1] // 2
    rate = torch.exp(torch.arange(half, device=x.device) * (-math.log(10_000.0) / max(half, 1)))
    angle = torch.arange(first, first + x.shape[-2], device=x.device)[:, None] * rate
    sin, cos = angle.sin(), angle.cos()
    a, b, rest = x.float().split([half, half, x.shape[-1] - 2 * half], dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos, rest], dim=-1).to(x.dtype)


class SelfAttentionBlock(Attention):
    """Pre-norm transformer block: y = x + attention(norm(x)), output y + feed_forward(norm(y)).

    Queries, keys and values are linear maps of the normalised input, optionally followed by tanh.

    Args:
        size: D.
        num_heads: heads of D / num_heads features each.
        feed_forward_size: hidden size of the feed-forward part.
        qkv_tanh: apply tanh to queries, keys and values.
        rotary: rotate queries and keys by their positions (see ``apply_rotary``).
        dropout: on the attention weights, on the outputs of both parts and inside the feed-forward part.

    Raises:
        ValueError: if num_heads does not divide D.

    Source: Vaswani et al. 2017, with the normalisation before each part (Xiong et al. 2020).
    """

    def __init__(self, size: int, num_heads: int, feed_forward_size: int, qkv_tanh: bool, rotary: bool, dropout: float):
        super().__init__()
        if size % num_heads:
            raise ValueError(f"num_heads={num_heads}: must divide the size of the model, {size}")
        self.num_heads = num_heads
        self.qkv_tanh = qkv_tanh
        self.rotary = rotary
        self.norm_attention, self.norm_feed_forward = nn.LayerNorm(size), nn.LayerNorm(size)
        self.qkv, self.output = xavier_linear(size, 3 * size), xavier_linear(size, size)
        self.feed_forward = nn.Sequential(
            Linear(size, feed_forward_size), nn.GELU(), Dropout(dropout), Linear(feed_forward_size, size)
        )
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Apply the block.

        Args:
            x: (B, T, D).
            memory: steps to attend to, (B, S, D); the last T steps are x itself.
            mask: see ``DotAttention.forward``.

        Returns:
            (B, T, D).
        """
        T = x.shape[1]
        q, k, v = self.heads(self.norm_attention(memory))
        q = q[:, :, -T:]
        if self.rotary:
            q, k = apply_rotary(q, memory.shape[1] - T), apply_rotary(k, 0)
        return self.fed_forward(self.attended(x, q, k, v, mask))

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of normalised steps (B, T, D), each (B, N, T, d)."""
        qkv = self.qkv(x)
        qkv = torch.tanh(qkv) if self.qkv_tanh else qkv
        q, k, v = qkv.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def attended(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """Steps x (B, T, D) plus the attention of their queries; mask as in ``DotAttention.forward``."""
        return x + self.dropout(self.output(self.attend_heads(q, k, v, mask, q.shape[-1] ** -0.5, self.dropout.p)))

    def fed_forward(self, x: Tensor) -> Tensor:
        """Steps x (B, T, D) plus their feed-forward part."""
        return x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))


class SelfAttentionStack(nn.Module):
    """Position information, self-attention blocks and a final layer normalisation; an alternative to RecurrentStack.

    Args:
        size: D.
        num_layers: number of blocks.
        num_heads, feed_forward_size, qkv_tanh, dropout: of each block.
        positions: give the model the order of the steps. With ``causal`` by ``apply_rotary``, so that only distances
            count, wherever a segment begins. Otherwise sinusoids are added to the input * sqrt(D) (Vaswani et al. 2017,
            section 3.4).
        causal: a step is seen only by itself and later steps, and past steps are carried to the next segments.
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
            SelfAttentionBlock(size, num_heads, feed_forward_size, qkv_tanh, positions and causal, dropout)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.adds_positions = positions and not causal
        self.output_size = size

    def forward(
        self, x: Tensor, mask: Tensor, memories: Sequence[Tensor] | None = None, keep: int = 0
    ) -> tuple[Tensor, list[Tensor]]:
        """Run over a batch.

        Args:
            x: inputs, (B, T, D).
            mask: see ``DotAttention.forward``.
            memories: earlier inputs of each block, (B, M, D); then S = M + T.
            keep: number of steps to store for the next segment.

        Returns:
            Features (B, T, D), and the last ``keep`` inputs of each block.

        Source: the memory is that of Dai et al. 2019, "Transformer-XL", section 3.2.
        """
        if self.adds_positions:
            x = x * x.shape[2] ** 0.5 + sinusoidal_positions(x.shape[1], x.shape[2], x.device).to(x.dtype)
        kept = []
        for i, block in enumerate(self.blocks):
            memory, remembered = append_steps(memories[i] if memories else None, x, keep)
            kept.append(remembered)
            x = block(x, memory, mask)
        return self.norm(x), kept
