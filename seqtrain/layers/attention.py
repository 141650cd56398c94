"""Attention layers: queries attend to a memory by a score. Their weights can be recorded.

Shapes: B batch, T queries, S steps of the memory, Q query features, M memory features, N heads, d features of a head.
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

MAX_CHUNK_SCORES = 2**23
"""Numbers that a chunk of an additive score may hold; 32 MB in fp32."""


Prepared = tuple[Tensor, Tensor]
"""Keys and values of a memory."""


class Attention(nn.Module):
    """Base class of every attention layer. ``recorded_weights`` collects the weights of all layers derived from it."""

    recorder: list[Tensor] | None = None
    by_head = False
    """Whether the weights of each head are recorded, not their mean."""

    def record(self, weights: Tensor) -> None:
        """Append the weights to the recorder, if one is set: (B, N, T, S) of N heads, else (B, T, S) or (B, S)."""
        if self.recorder is not None:
            weights = weights.detach()
            self.recorder.append(weights.mean(1) if weights.dim() == 4 and not self.by_head else weights)

    def attend_heads(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float, p: float) -> Tensor:
        """Dot-product attention of N heads, whose outputs are concatenated; records their weights.

        Args:
            q: queries, (B, N, T, d).
            k: keys, (B, N, S, d).
            v: values, (B, N, S, d).
            mask: true where a query sees a step, (B, T, S) or (B, 1, S).
            scale: factor of the scores.
            p: probability of dropping a weight in training.

        Returns:
            (B, T, N * d).
        """
        mask = mask[:, None]
        out = dot_attention(q, k, v, mask, scale, p if self.training else 0.0)
        if self.recorder is not None:
            self.record(dot_weights(q, k, mask, scale))
        return out.transpose(1, 2).flatten(2)


@contextmanager
def recorded_weights(module: nn.Module, by_head: bool = False) -> Iterator[dict[str, list[Tensor]]]:
    """Collect the weights of every attention layer inside ``module`` while the context is open.

    Args:
        module: the module.
        by_head: collect the weights of each head of a layer with several, not their mean.

    Yields:
        Name of the layer -> its weights, one tensor for each call of the layer.
    """
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, Attention)}
    weights: dict[str, list[Tensor]] = {}
    for name, layer in layers.items():
        layer.recorder, layer.by_head = weights.setdefault(name, []), by_head
    try:
        yield weights
    finally:
        for layer in layers.values():
            layer.recorder, layer.by_head = None, False


def dot_weights(q: Tensor, k: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Attention weights softmax(q k^T * scale) over the visible steps of the memory.

    Under autocast only the product is computed in the lower precision.

    Args:
        q: queries, (B, N, T, d).
        k: keys, (B, N, S, d).
        mask: true where a query sees a step, broadcastable to (B, N, T, S).
        scale: factor of the scores.

    Returns:
        (B, N, T, S).
    """
    scores = q @ k.transpose(-1, -2)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * scale
    return scores.masked_fill(~mask, -torch.inf).softmax(-1)


def dot_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float, p: float) -> Tensor:
    """Attention output softmax(q k^T * scale) v, with dropout on the weights.

    Args:
        q: queries, (B, N, T, d).
        k: keys, (B, N, S, d).
        v: values, (B, N, S, d').
        mask: true where a query sees a step, broadcastable to (B, N, T, S).
        scale: factor of the scores.
        p: probability of dropping a weight.

    Returns:
        (B, N, T, d').
    """
    if p == 0 or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, mask, dropout_p=p, scale=scale)
    # With dropout torch's function also stores all weights on the CPU, so nothing is lost here.
    return dropout(dot_weights(q, k, mask, scale), p).to(v.dtype) @ v


class DotAttention(Attention):
    """Dot-product attention: weights a = softmax(q k^T * scale), output a v.

    Args:
        score: ``dot`` (scale 1), ``scaled_dot`` (scale 1/sqrt(M)), ``general`` (q^T W k, scale 1) or ``multihead`` (N
            heads of M/N features, with learned projections of queries, keys, values and output).
        query_size: Q.
        memory_size: M, also the output size.
        num_heads: N, for ``multihead``.
        project: also learn projections of queries, keys and values for ``dot`` and ``scaled_dot``. Without them the
            memory itself serves as keys and values, and queries are projected only if Q differs from M.
        dropout: probability of dropping a weight.

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
        """Attend to the memory.

        Args:
            query: (B, T, Q).
            memory: (B, S, M).
            mask: true where a query sees a step of the memory, (B, T, S), or (B, 1, S) if all queries see the same.
                Each query must see at least one step.

        Returns:
            (B, T, M).
        """
        return self.attend_to(self.queries(query), self.prepared(memory), mask)

    def prepared(self, memory: Tensor) -> Prepared:
        """Keys and values of a memory (B, S, M), each (B, N, S, M / N), for several calls of ``attend_to``."""
        return self.split_heads(self.key(memory)), self.split_heads(self.value(memory))

    def queries(self, query: Tensor) -> Tensor:
        """The queries that ``attend_to`` takes, (B, N, T, M / N)."""
        return self.split_heads(self.query(query))

    def attend_to(self, queries: Tensor, prepared: Prepared, mask: Tensor) -> Tensor:
        """Attend to a prepared memory; mask and result are those of a call."""
        return self.output(self.attend_heads(queries, *prepared, mask, self.scale, self.dropout))

    def split_heads(self, x: Tensor) -> Tensor:
        """Split the features into heads: (B, S, M) to (B, N, S, M / N)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class AdditiveAttention(Attention):
    """Additive attention: a_ts = softmax over s of v^T tanh(W [q_t; k_s] + b), output sum_s a_ts k_s.

    The scores of all pairs take B * T * S * M numbers, which is gigabytes at T = 400. Queries are therefore processed
    in chunks, and the backward pass recomputes each chunk instead of storing it. It stores the hidden layer of several
    queries that fit in one chunk. That of a single query is recomputed too, since a decoder that runs step by step has
    as many calls as steps.

    Args:
        query_size: Q.
        memory_size: M, also the size of the output and of the hidden layer.
        dropout: probability of dropping a weight.

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
        """Attend to the memory; arguments and result as in ``DotAttention.forward``."""
        return self.attend_to(self.queries(query), self.prepared(memory), mask)

    def prepared(self, memory: Tensor) -> Prepared:
        """Keys and values of a memory, (B, S, M) each, for several calls of ``attend_to``."""
        return self.key(memory), memory

    def queries(self, query: Tensor) -> Tensor:
        """The queries that ``attend_to`` takes, (B, T, M)."""
        queries: Tensor = self.query(query)
        return queries

    def attend_to(self, queries: Tensor, prepared: Prepared, mask: Tensor) -> Tensor:
        """Attend to a prepared memory; mask and result are those of a call."""
        q, (k, memory) = queries, prepared
        mask = mask.expand(-1, q.shape[1], -1)
        size = max(1, MAX_CHUNK_SCORES // k.numel())
        recomputes = self.training and not 1 < q.shape[1] <= size
        outputs: list[Tensor] = []
        weights: list[Tensor] = []
        for start in range(0, q.shape[1], size):
            chunk = q[:, start : start + size], k, memory, mask[:, start : start + size]
            output, weight = checkpoint(self.attend, *chunk, use_reentrant=False) if recomputes else self.attend(*chunk)
            outputs.append(output)
            if self.recorder is not None:
                weights.append(weight)
        if weights:
            self.record(torch.cat(weights, dim=1))
        return torch.cat(outputs, dim=1)

    def attend(self, q: Tensor, k: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (B, C, M) and weights (B, C, S) of a chunk of C projected queries."""
        scores = self.score(torch.tanh(q[:, :, None] + k[:, None])).squeeze(-1)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1).to(values.dtype)
        return dropout(weights, self.dropout, self.training) @ values, weights


class AdditiveSelfPooling(Attention, Fusible):
    """Weighted mean of the states of a sequence, with weights from a learned query.

    u_t = tanh(W h_t + b);  s_t = v^T u_t;  a = softmax of s over the real steps;  output sum_t a_t h_t.

    Args:
        size: M.
        kernel: implementation of the pooling of whole rows: ``torch``, ``auto`` or ``fused``, see
            seqtrain.layers.fused.

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
        """Pool each row to one vector.

        Args:
            states: (B, S, M), padded on the right.
            lengths: real steps of each row, (B,).

        Returns:
            (B, M).
        """
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
        """Pool at each of T steps over the states that the step sees.

        Args:
            states: (B, S, M).
            mask: true where a step sees a state, (B, T, S).

        Returns:
            (B, T, M).
        """
        weights = self.attention_weights(states, mask)
        self.record(weights)
        return torch.bmm(weights, states)

    def attention_weights(self, states: Tensor, mask: Tensor) -> Tensor:
        """Weights of the states at each step, (B, T, S), by ``mask`` (B, T, S)."""
        scores = self.query(torch.tanh(self.hidden(states))).transpose(1, 2)
        return scores.masked_fill(~mask, -torch.inf).softmax(-1).to(states.dtype)


def xavier_linear(input_size: int, output_size: int) -> Linear:
    """A linear layer without bias, initialised Xavier-uniform."""
    layer = Linear(input_size, output_size, bias=False)
    nn.init.xavier_uniform_(layer.weight)
    return layer


class AttentionBlock(nn.Module):
    """An attention layer with its residual connection, as it stands in a model.

    Args:
        attention: attends to a memory with queries of Q features.
        query_size: Q.
        residual: output query + attended, with a projection of the attended features if their size is not Q. Without it
            the output is the attended features.
    """

    def __init__(self, attention: DotAttention | AdditiveAttention, query_size: int, residual: bool):
        super().__init__()
        self.attention = attention
        self.residual = residual
        self.output_size = query_size if residual else attention.output_size
        fits = attention.output_size == self.output_size
        self.projection = nn.Identity() if fits else xavier_linear(attention.output_size, query_size)

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Features (B, T, output_size); arguments as in ``DotAttention.forward``."""
        attended = self.projection(self.attention(query, memory, mask))
        return query + attended if self.residual else attended
