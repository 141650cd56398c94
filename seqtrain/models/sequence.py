"""The composition that all models share: embedding, attention before, encoder, attention after, pooling.

Shapes: B batch, T time, D features of the inputs, H of the states.
"""

from typing import Any, cast

from torch import Tensor, nn

from seqtrain.config.model import AttentionConfig, Score, SequenceConfig
from seqtrain.data.base import Batch, DataSpec
from seqtrain.errors import ConfigError
from seqtrain.layers.attention import AdditiveAttention, Attention, AttentionSlot, DotAttention
from seqtrain.layers.pooling import Pooling, RunningPooling
from seqtrain.layers.recurrence import RecurrentStack, real_steps
from seqtrain.layers.self_attention import SelfAttentionStack

EMBEDDING_STD = 0.1  # of the initial vectors; torch's 1.0 saturates the gates


class SequenceModel(nn.Module):
    """Features of a sequence: one vector a row if it is pooled, else one a step.

    Args:
        embedding: tokens (B, T), or features (B, T, F), to vectors (B, T, D).
        encoder: vectors to states (B, T, H).
        pooling: states to one vector a row (Pooling) or a step (RunningPooling), or None for the states themselves.
        embedding_dropout: on the vectors.
        dropout: on the features.
        input_attention: of the vectors over themselves, before the encoder.
        output_attention: of the states over themselves or the vectors.
        attend_inputs: the output attention's memory is the vectors.
        causal: no feature may depend on a later step.
    """

    def __init__(
        self,
        embedding: nn.Module,
        encoder: RecurrentStack | SelfAttentionStack,
        pooling: Pooling | RunningPooling | None,
        embedding_dropout: nn.Module,
        dropout: float,
        *,
        input_attention: AttentionSlot | None = None,
        output_attention: AttentionSlot | None = None,
        attend_inputs: bool = False,
        causal: bool = False,
    ):
        super().__init__()
        self.embedding = embedding
        self.embedding_dropout = embedding_dropout
        self.input_attention = input_attention
        self.encoder = encoder
        self.output_attention = output_attention
        self.attend_inputs = attend_inputs
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.causal = causal
        # With `last` the one state that is read is pooled first, and attends alone.
        self.pools_first = isinstance(pooling, Pooling) and pooling.kind == "last" and output_attention is not None
        last = (output_attention if self.pools_first else pooling) or output_attention or encoder
        self.output_size = int(last.output_size)

    @property
    def carries_state(self) -> bool:
        """Whether segments with carried state give what the whole sequence would: not where attention looks back."""
        return not any(isinstance(module, Attention) for module in self.modules())

    def forward(self, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        """Features (B, output_size), or (B, T, output_size) without pooling, and the encoder's state after step T."""
        lengths = batch.lengths
        inputs = self.embedding_dropout(self.embedding(batch.inputs))
        real = real_steps(lengths, inputs.shape[1])
        if self.input_attention is not None:
            inputs = self.input_attention(inputs, inputs, real, self.causal)
        states, state = self.encoder(inputs, lengths, state)
        memory = inputs if self.attend_inputs else states
        if self.pools_first:
            query = cast(Pooling, self.pooling)(states, lengths)[:, None]
            return self.dropout(
                cast(AttentionSlot, self.output_attention)(query, memory, real, False).squeeze(1)
            ), state
        if self.output_attention is not None:
            states = self.output_attention(states, memory, real, self.causal)
        features = states if self.pooling is None else self.pooling(states, lengths)
        return self.dropout(features), state


def build_embedding(config: SequenceConfig, spec: DataSpec) -> nn.Embedding | nn.Linear:
    """Vectors of tokens, normal with a small deviation; that of padding, if there is one, is zero and stays so.

    For inputs that are numbers, a linear map of each step's features.
    """
    if spec.num_features is not None:
        return nn.Linear(spec.num_features, config.embedding.embed_dim)
    assert spec.vocab_size is not None
    embedding = nn.Embedding(spec.vocab_size, config.embedding.embed_dim, padding_idx=spec.pad_id)
    nn.init.normal_(embedding.weight, std=EMBEDDING_STD)
    if spec.pad_id is not None:
        nn.init.zeros_(embedding.weight.data[spec.pad_id])
    embedding.weight.requires_grad_(not config.embedding.freeze)
    return embedding


def build_attention(config: AttentionConfig, query_size: int, memory_size: int, key: str) -> AttentionSlot | None:
    """The attention layer that a config describes, or None; ``key`` names it in errors.

    Raises:
        ConfigError: if the heads do not divide the size of the memory.
    """
    if config.score is Score.none:
        return None
    if config.score is Score.multihead and memory_size % config.num_heads:
        raise ConfigError(
            f"{key}.num_heads={config.num_heads}: must divide {memory_size}, the size of what is attended"
        )
    attention: DotAttention | AdditiveAttention
    if config.score is Score.additive:
        attention = AdditiveAttention(query_size, memory_size, config.dropout)
    else:
        score, heads = config.score.value, config.num_heads
        attention = DotAttention(score, query_size, memory_size, heads, config.project, config.dropout)
    return AttentionSlot(attention, query_size, config.residual)


def build_pooling(
    config: SequenceConfig, size: int, *, bidirectional: bool, causal: bool, pooled: bool
) -> Pooling | RunningPooling | None:
    """The pooling of a config: over the sequence where the task is pooled, else, if it attends, at each step."""
    kind = config.pooling.value
    if pooled:
        return Pooling(kind, size, bidirectional)
    return RunningPooling(size, causal) if kind.startswith("attention") else None
