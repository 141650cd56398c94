"""Self-attention blocks that also attend to a source: the decoder of a model without recurrence.

Shapes: B batch, T target steps, P past target steps, S source steps, D features, N heads, d features of a head.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from seqtrain.layers.attention import DotAttention, Prepared
from seqtrain.layers.self_attention import SelfAttentionBlock, apply_rotary

Past = tuple[Tensor, Tensor]
"""Keys and values of past steps, (P, B, D) each; the rows of the batch are the last axis but one."""


class DecoderBlock(SelfAttentionBlock):
    """Pre-norm transformer decoder block: self-attention over past steps, attention to a source, feed-forward part.

    y = x + self_attention(norm(x)); z = y + source_attention(norm(y)); output z + feed_forward(norm(z)).

    Arguments are those of ``SelfAttentionBlock``.

    Source: Vaswani et al. 2017, section 3.1, with the normalisation before each part (Xiong et al. 2020).
    """

    def __init__(self, size: int, num_heads: int, feed_forward_size: int, qkv_tanh: bool, rotary: bool, dropout: float):
        super().__init__(size, num_heads, feed_forward_size, qkv_tanh, rotary, dropout)
        self.norm_source = nn.LayerNorm(size)
        self.source = DotAttention("multihead", size, size, num_heads, dropout=dropout)

    def decode(self, x: Tensor, past: Past | None, source: Prepared, mask: Tensor) -> tuple[Tensor, Past]:
        """Run over further target steps.

        Args:
            x: (B, T, D).
            past: keys and values of the steps before, as the call on them returned.
            source: keys and values that ``source.prepared`` made.
            mask: true at real source steps, (B, 1, S).

        Returns:
            (B, T, D), and keys and values of all P + T steps.
        """
        T, P = x.shape[1], 0 if past is None else len(past[0])
        q, k, v = self.heads(self.norm_attention(x))
        if self.rotary:
            q, k = apply_rotary(q, P), apply_rotary(k, P)
        keys, values = (part.permute(2, 0, 1, 3).flatten(2) for part in (k, v))
        if past is not None:
            keys, values = (torch.cat(parts) for parts in zip(past, (keys, values), strict=True))
        k, v = (part.unflatten(-1, (self.num_heads, -1)).permute(1, 2, 0, 3) for part in (keys, values))
        causal = torch.ones(1, T, P + T, dtype=torch.bool, device=x.device).tril(P)
        x = self.attended(x, q, k, v, causal)
        x = x + self.dropout(self.source.attend_to(self.source.queries(self.norm_source(x)), source, mask))
        return self.fed_forward(x), (keys, values)


class DecoderStack(nn.Module):
    """Decoder blocks and a final layer normalisation.

    Args:
        size: D.
        num_layers: number of blocks.
        num_heads, feed_forward_size, qkv_tanh, dropout: of each block.
        positions: give the model the order of the target steps, by ``apply_rotary``.
    """

    def __init__(
        self, size: int, num_layers: int, num_heads: int, feed_forward_size: int,
        *, qkv_tanh: bool = False, dropout: float = 0.0, positions: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.blocks = nn.ModuleList(
            DecoderBlock(size, num_heads, feed_forward_size, qkv_tanh, positions, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.output_size = size

    def prepared(self, states: Tensor) -> list[Prepared]:
        """Keys and values of the source's states (B, S, D) for each block."""
        return [block.source.prepared(states) for block in self.each()]

    def forward(
        self, x: Tensor, past: Sequence[Past] | None, sources: Sequence[Prepared], mask: Tensor
    ) -> tuple[Tensor, list[Past]]:
        """Run over further target steps; arguments as in ``DecoderBlock.decode``, with one of each block.

        Returns:
            Features (B, T, D), and what each block keeps of all steps so far.
        """
        kept = []
        for i, (block, source) in enumerate(zip(self.each(), sources, strict=True)):
            x, known = block.decode(x, past[i] if past else None, source, mask)
            kept.append(known)
        return self.norm(x), kept

    def each(self) -> list[DecoderBlock]:
        """The blocks, from the bottom up."""
        return [cast(DecoderBlock, block) for block in self.blocks]
