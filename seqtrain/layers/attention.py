"""Attention over a memory, by any score, and how to see its weights.

Shapes: B batch, T queries, S memory steps, Q and M their features, N heads.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from seqtrain.kernels.pooling import UNIT, additive_pooling
from seqtrain.layers.dropout import dropout
from seqtrain.layers.fused import Fusible, can_fuse_pooling
from seqtrain.layers.masks import real_steps
from seqtrain.layers.products import Linear

MAX_CHUNK_SCORES = 2**23  # most numbers of an additive score that are in memory at once: 32 MB in fp32


class Attention(nn.Module):
    """The base of every attention layer: hands its weights to ``recorded_weights`` while that is open."""

    recorder: list[Tensor] | None = None

    def record(self, weights: Tensor) -> None:
        """Keep weights, if anybody wants them."""
        if self.recorder is not None:
            self.recorder.append(weights.detach())


@contextmanager
def recorded_weights(module: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Collect the weights of every attention layer inside ``module``, by name, one tensor a call, while open."""
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, Attention)}
    weights: dict[str, list[Tensor]] = {}
    for name, layer in layers.items():
        layer.recorder = weights[name] = []
    try:
        yield weights
    finally:
        for layer in layers.values():
            layer.recorder = None


def dot_weights(q: Tensor, k: Tensor, mask: Tensor, scale: float) -> Tensor:
    """softmax(q k^T * scale) over what a query sees: (B, N, T, S) of queries (B, N, T, d) and keys (B, N, S, d).

    Under autocast the product alone is in its type.
    """
    scores = q @ k.transpose(-1, -2)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * scale
    return scores.masked_fill(~mask, -torch.inf).softmax(-1)


def dot_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float, p: float) -> Tensor:
    """The weights, with numbers of them dropped with probability p, times the values (B, N, S, d'): (B, N, T, d')."""
    if p == 0 or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, mask, dropout_p=p, scale=scale)
    # With dropout torch's own makes the whole weights on the CPU too.
    return dropout(dot_weights(q, k, mask, scale), p).to(v.dtype) @ v


class DotAttention(Attention):
    """Attention by products of queries and keys: a = softmax(q k^T * scale), output a v.

    Args:
        score: ``dot`` (scale 1), ``scaled_dot`` (scale 1/sqrt of the key size), ``general`` (q^T W k, scale 1) or
            ``multihead`` (N heads of M/N features each, with learned maps of queries, keys, values and output).
        query_size: Q.
        memory_size: M, also the size of the output.
        num_heads: N, for ``multihead``.
        project: learned maps of queries, keys and values for ``dot`` and ``scaled_dot`` too. Without them keys and
            values are the memory itself, and queries are mapped only where Q is not M.
        dropout: on the weights.

    Raises:
        ValueError: if N does not divide M.

    Source: Luong et al. 2015, eq. 8 (dot, general); Vaswani et al. 2017, eq. 1 and section 3.2.2.
    """

    def __init__(
        self,
        score: str,
        query_size: int,
        memory_size: int,
        num_heads: int = 1,
        project: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.num_heads = num_heads if score == "multihead" else 1
        if memory_size % self.num_heads:
            raise ValueError(f"num_heads={num_heads}: must divide the size of the memory, {memory_size}")
        self.scale = 1.0 if score in ("dot", "general") else (memory_size // self.num_heads) ** -0.5
        self.output_size = memory_size
        self.dropout = dropout
        project = project or score == "multihead"
        projects_query = project or score == "general" or query_size != memory_size
        self.query = xavier_linear(query_size, memory_size) if projects_query else nn.Identity()
        self.key = xavier_linear(memory_size, memory_size) if project else nn.Identity()
        self.value = xavier_linear(memory_size, memory_size) if project else nn.Identity()
        self.output = xavier_linear(memory_size, memory_size) if score == "multihead" else nn.Identity()

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Attend.

        Args:
            query: (B, T, Q).
            memory: (B, S, M).
            mask: memory steps that each query sees, at least one, (B, T, S), or (B, 1, S) where all see the same.

        Returns:
            (B, T, M).
        """
        q, k, v = (self.split_heads(x) for x in (self.query(query), self.key(memory), self.value(memory)))
        p = self.dropout if self.training else 0.0
        mask = mask[:, None]
        out = dot_attention(q, k, v, mask, self.scale, p)
        if self.recorder is not None:
            self.record(dot_weights(q, k, mask, self.scale).mean(1))
        return self.output(out.transpose(1, 2).flatten(2))

    def split_heads(self, x: Tensor) -> Tensor:
        """(B, S, M) to (B, N, S, M / N)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class AdditiveAttention(Attention):
    """Attention by a small network: a_ts = softmax over s of v^T tanh(W [q_t; k_s] + b), output sum_s a_ts k_s.

    The scores of all pairs take B * T * S * M numbers, gigabytes at T = 400: queries are taken in chunks, and backward
    computes each chunk again instead of keeping it.

    Args:
        query_size: Q.
        memory_size: M, also the size of the output and of the hidden layer.
        dropout: on the weights.

    Source: Bahdanau et al. 2015, appendix A.1.2; W is split into its halves for query and memory.
    """

    def __init__(self, query_size: int, memory_size: int, dropout: float = 0.0):
        super().__init__()
        self.output_size = memory_size
        self.query = xavier_linear(query_size, memory_size)
        self.key = Linear(memory_size, memory_size)
        self.score = xavier_linear(memory_size, 1)
        self.dropout = dropout
        nn.init.xavier_uniform_(self.key.weight)
        nn.init.zeros_(self.key.bias)

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Attend; see DotAttention."""
        q, k = self.query(query), self.key(memory)
        mask = mask.expand(-1, query.shape[1], -1)
        size = max(1, MAX_CHUNK_SCORES // k.numel())
        outputs: list[Tensor] = []
        weights: list[Tensor] = []
        for start in range(0, q.shape[1], size):
            chunk = q[:, start : start + size], k, memory, mask[:, start : start + size]
            output, weight = (
                checkpoint(self.attend, *chunk, use_reentrant=False) if self.training else self.attend(*chunk)
            )
            outputs.append(output)
            if self.recorder is not None:
                weights.append(weight)
        if weights:
            self.record(torch.cat(weights, dim=1))
        return torch.cat(outputs, dim=1)

    def attend(self, q: Tensor, k: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (B, C, M) and weights (B, C, S) of a chunk of C mapped queries."""
        scores = self.score(torch.tanh(q[:, :, None] + k[:, None])).squeeze(-1)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1).to(values.dtype)
        return dropout(weights, self.dropout, self.training) @ values, weights


class AdditiveSelfPooling(Attention, Fusible):
    """The states of a sequence, weighted by how well each answers to a learned query.

    u_t = tanh(W h_t + b);  s_t = v^T u_t;  a = softmax of s over the real steps;  output sum_t a_t h_t.

    Args:
        size: M.
        kernel: what computes the pooling of whole rows: ``torch``, ``auto`` or ``fused``, see seqtrain.layers.fused.

    Source: Yang et al. 2016, "Hierarchical attention networks", eq. 5-7 (there v is the context vector u_w).
    """

    def __init__(self, size: int, kernel: str = "torch"):
        super().__init__()
        self.kernel = kernel
        self.hidden = Linear(size, size)
        self.query = xavier_linear(size, 1)
        nn.init.xavier_uniform_(self.hidden.weight)
        nn.init.zeros_(self.hidden.bias)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """One vector for each sequence: states (B, S, M), of which the first ``lengths`` (B,) are real, to (B, M)."""
        if can_fuse_pooling(states, self.kernel):
            assert self.hidden.bias is not None
            own = (self.hidden.weight, self.hidden.bias, self.query.weight.squeeze(0))
            pooled, weights = additive_pooling(states, lengths, *own)
            self.record(weights)
            return pooled
        weights = self.attention_weights(states, real_steps(lengths, states.shape[1])[:, None]).squeeze(1)
        self.record(weights)
        return torch.bmm(weights[:, None], states).squeeze(1)

    def kernels(self) -> list[str]:
        return [] if self.kernel == "torch" else [UNIT]

    def pool_each_step(self, states: Tensor, mask: Tensor) -> Tensor:
        """One vector for each of T steps, over those of S states that it sees by ``mask`` (B, T, S): (B, T, M)."""
        weights = self.attention_weights(states, mask)
        self.record(weights)
        return torch.bmm(weights, states)

    def attention_weights(self, states: Tensor, mask: Tensor) -> Tensor:
        """Weights of the states for each step, (B, T, S)."""
        scores = self.query(torch.tanh(self.hidden(states))).transpose(1, 2)
        return scores.masked_fill(~mask, -torch.inf).softmax(-1).to(states.dtype)


def xavier_linear(input_size: int, output_size: int) -> Linear:
    """A Xavier-uniform linear map without bias."""
    layer = Linear(input_size, output_size, bias=False)
    nn.init.xavier_uniform_(layer.weight)
    return layer


class AttentionBlock(nn.Module):
    """An attention layer where it stands in a model.

    Args:
        attention: attends a memory with queries of ``query_size`` features.
        query_size: Q.
        residual: add what was attended to the query, mapped to its size where they differ; else it takes its place.
    """

    def __init__(self, attention: DotAttention | AdditiveAttention, query_size: int, residual: bool):
        super().__init__()
        self.attention = attention
        self.residual = residual
        self.output_size = query_size if residual else attention.output_size
        fits = attention.output_size == self.output_size
        self.projection = nn.Identity() if fits else xavier_linear(attention.output_size, query_size)

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Features (B, T, output_size); see DotAttention."""
        attended = self.projection(self.attention(query, memory, mask))
        return query + attended if self.residual else attended
