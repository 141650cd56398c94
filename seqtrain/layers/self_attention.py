"""Self-attention blocks in place of recurrence.

Shapes: B batch, T time, D features.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqtrain.layers.attention import Attention, dot_attention, dot_weights, xavier_linear
from seqtrain.layers.dropout import Dropout
from seqtrain.layers.memory import append_steps
from seqtrain.layers.products import Linear


def sinusoidal_positions(num_steps: int, size: int, device: torch.device) -> Tensor:
    """Positions as sines and cosines of wavelengths from 2 pi to 10000 * 2 pi, (T, D).

    Source: Vaswani et al. 2017, section 3.5; here the sines stand before the cosines instead of in turn.
    """
    half = (size + 1) // 2
    rate = torch.exp(torch.arange(half, device=device) * (-math.log(10_000.0) / half))
    angle = torch.arange(num_steps, device=device)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=-1)[:, :size]


def apply_rotary(x: Tensor, first: int) -> Tensor:
    """Queries or keys (B, N, T, d), turned by angles in proportion to their positions ``first``, ``first`` + 1, ...

    The product of a query and a key then depends on their distance alone.

    Source: Su et al. 2021, "RoFormer", eq. 34, with the two numbers of a pair half of d apart; an odd last one stays.
    """
    half = x.shape[-1] // 2
    rate = torch.exp(torch.arange(half, device=x.device) * (-math.log(10_000.0) / max(half, 1)))
    angle = torch.arange(first, first + x.shape[-2], device=x.device)[:, None] * rate
    sin, cos = angle.sin(), angle.cos()
    a, b, rest = x.float().split([half, half, x.shape[-1] - 2 * half], dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos, rest], dim=-1).to(x.dtype)


class SelfAttentionBlock(Attention):
    """x + attention(norm x), then x + feed-forward(norm x).

    Queries, keys and values are learned maps of the normalised input, with tanh after them if asked for.

    Args:
        size: D.
        num_heads: heads of D / num_heads features each.
        feed_forward_size: hidden size of the feed-forward part.
        qkv_tanh: tanh on queries, keys and values.
        rotary: turn queries and keys by their positions (see ``apply_rotary``).
        dropout: on the weights, on both parts' outputs and inside the feed-forward part.

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
        """Features (B, T, D) of features (B, T, D).

        Args:
            x: (B, T, D).
            memory: what is attended, (B, S, D); its last T steps are x itself.
            mask: see DotAttention.
        """
        T = x.shape[1]
        qkv = self.qkv(self.norm_attention(memory))
        qkv = torch.tanh(qkv) if self.qkv_tanh else qkv
        q, k, v = qkv.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q = q[:, :, -T:]
        if self.rotary:
            q, k = apply_rotary(q, memory.shape[1] - T), apply_rotary(k, 0)
        p = self.dropout.p if self.training else 0.0
        mask, scale = mask[:, None], q.shape[-1] ** -0.5
        attended = dot_attention(q, k, v, mask, scale, p)
        if self.recorder is not None:
            self.record(dot_weights(q, k, mask, scale).mean(1))
        x = x + self.dropout(self.output(attended.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))


class SelfAttentionStack(nn.Module):
    """Positions, blocks, and a last normalisation; stands where a RecurrentStack may stand.

    Args:
        size: D.
        num_layers: blocks.
        num_heads, feed_forward_size, qkv_tanh, dropout: of each block.
        positions: without them the order of the steps is not seen. With ``causal`` queries and keys are turned (see
            ``apply_rotary``), so that distances count wherever a segment begins; else sinusoids are added to the
            input, times sqrt(D) (Vaswani et al. 2017, section 3.4).
        causal: steps are attended by later ones only, and carried to the segments that follow.
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
            mask: see DotAttention.
            memories: steps before x that each block has read, (B, M, D); S is M + T.
            keep: how many of the last steps to keep.

        Returns:
            Features (B, T, D), and the last ``keep`` steps that each block has read.

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
