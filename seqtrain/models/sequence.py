"""The model that most families share: embedding, attention, encoder, attention, pooling.

Shapes: B batch, T time, S steps of an attention's memory, D features of an embedded input, H hidden.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from seqtrain.config.attention import AttentionConfig, Score
from seqtrain.config.base import Targets
from seqtrain.config.sequence import SequenceConfig, Wide
from seqtrain.config.window import Channels
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.layers.attention import AdditiveAttention, Attention, AttentionBlock, DotAttention
from seqtrain.layers.dropout import Dropout, LockedDropout, WordDropout
from seqtrain.layers.masks import causal_window, real_steps
from seqtrain.layers.memory import append_steps
from seqtrain.layers.ngrams import NgramBag
from seqtrain.layers.pooling import Pooling, StepwisePooling
from seqtrain.layers.products import Linear
from seqtrain.layers.recurrence import RecurrentStack
from seqtrain.layers.self_attention import SelfAttentionStack

TEXT_DROPOUT, FORECAST_DROPOUT = 0.5, 0.1
EMBEDDING_STD = 0.1  # of initial token vectors; torch's default of 1.0 saturates the gates of a recurrent cell


class SequenceModel(nn.Module):
    """Features of a sequence: one vector per row if it is pooled, else one per step.

    Args:
        config: word dropout, embedding dropout, output dropout, activation penalties and context length.
        embedding: tokens (B, T) or features (B, T, F) to vectors (B, T, D).
        encoder: vectors to states (B, T, H).
        pooling: states to one vector per row (Pooling) or per step (StepwisePooling), or None for the states
            themselves.
        dropout: on the features, unless the config sets output_dropout.
        locked: use one dropout mask for all steps (LockedDropout).
        input_attention: attention of the vectors over themselves, before the encoder.
        output_attention: attention of the states over themselves or over the vectors.
        attend_inputs: the memory of the output attention is the vectors, else the states.
        wide: scores of the classes from the tokens, which are joined to the features of a row.
        causal: no feature depends on a later step, and the state can be carried from segment to segment. A sequence cut
            into segments then has the same features as the whole sequence.
    """

    penalty: Tensor | None = None
    """Activation penalties of the last call in training, to add to the mean loss; None without penalties."""

    def __init__(
        self,
        config: SequenceConfig,
        embedding: nn.Module,
        encoder: RecurrentStack | SelfAttentionStack,
        pooling: Pooling | StepwisePooling | None,
        dropout: float,
        *,
        locked: bool = False,
        input_attention: AttentionBlock | None = None,
        output_attention: AttentionBlock | None = None,
        attend_inputs: bool = False,
        wide: NgramBag | None = None,
        causal: bool = False,
    ):
        super().__init__()
        self.window = config.window
        kind = LockedDropout if locked else Dropout
        self.embedding = embedding
        self.word_dropout = WordDropout(config.embedding.word_dropout)
        self.embedding_dropout = kind(config.embedding.dropout if isinstance(embedding, nn.Embedding) else 0.0)
        self.input_attention = input_attention
        self.encoder = encoder
        self.output_attention = output_attention
        self.attend_inputs = attend_inputs
        self.pooling = pooling
        output_dropout = dropout if config.output_dropout is None else config.output_dropout
        self.dropout = Dropout(output_dropout) if isinstance(pooling, Pooling) else kind(output_dropout)
        self.activation_penalty, self.change_penalty = config.activation_penalty, config.change_penalty
        self.causal = causal
        self.context_length = config.context_length
        parts = (input_attention, encoder, output_attention, pooling)
        self.attends = any(isinstance(m, Attention) for part in parts if part is not None for m in part.modules())
        # With `last` only one state is used: it is pooled first and is then the only query.
        self.pools_first = isinstance(pooling, Pooling) and pooling.kind == "last" and output_attention is not None
        last = (output_attention if self.pools_first else pooling) or output_attention or encoder
        self.wide = wide
        self.output_size = int(last.output_size) + (0 if wide is None else wide.num_classes)

    def forward(self, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        """Run over a batch.

        Args:
            batch: the batch. Rows restart from a zero state where ``restarts`` is true.
            state: state that the call on the previous segment returned; None at the start.

        Returns:
            Features (B, output_size), or (B, T, output_size) without pooling; and the state after step T, a dict of the
            encoder's state and of the past steps that attention may see.
        """
        return self.encode(self.embed(batch.inputs), batch, state)

    def encode(self, inputs: Tensor, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        """Run over the embedded inputs of a batch, (B, T, D); arguments and results are otherwise those of a call."""
        lengths = batch.lengths
        before: dict[str, Any] = state or {}
        after: dict[str, Any] = {}
        mask, keep = self.attention_mask(batch, before, after)

        def recall(name: str, steps: Tensor) -> Tensor:
            memory, after[name] = append_steps(before.get(name), steps, keep)
            return memory

        if self.input_attention is not None:
            inputs = self.input_attention(inputs, recall("embedded", inputs), mask)
        if isinstance(self.encoder, RecurrentStack):
            states, after["encoder"] = self.encoder(inputs, lengths, before.get("encoder"), batch.restarts)
        else:
            states, after["encoder"] = self.encoder(inputs, mask, before.get("encoder"), keep)
        attended = inputs if self.attend_inputs else states
        if self.pools_first:
            query = cast(Pooling, self.pooling)(states, lengths)[:, None]
            features = cast(AttentionBlock, self.output_attention)(query, attended, mask).squeeze(1)
            return self.finished(features, batch), after
        if self.output_attention is not None:
            states = self.output_attention(states, recall("attended", attended), mask)
        if self.pooling is None:
            features = states
        elif isinstance(self.pooling, StepwisePooling):
            features = self.pooling(states, recall("pooled", states), mask)
        else:
            features = self.pooling(states, lengths)
        return self.finished(features, batch), after

    def finished(self, features: Tensor, batch: Batch) -> Tensor:
        """The features after their dropout, joined by the scores of the wide part, if there is one."""
        dropped = self.apply_output_dropout(features)
        return dropped if self.wide is None else torch.cat([dropped, self.wide(batch.inputs, batch.lengths)], dim=-1)

    def apply_output_dropout(self, features: Tensor) -> Tensor:
        """Apply dropout to the features and, in training, set ``penalty``."""
        dropped = self.dropout(features)
        self.penalty = self.penalise(features, dropped) if self.training else None
        return dropped

    def embed(self, inputs: Tensor, embedding: nn.Module | None = None) -> Tensor:
        """Vectors of the inputs, (B, T, D), with dropout of words and of features; by another embedding, if given."""
        embedding = embedding or self.embedding
        vectors = embedding(inputs)
        if isinstance(embedding, nn.Embedding):
            vectors = self.word_dropout(vectors, inputs, embedding.num_embeddings)
        return self.embedding_dropout(vectors)

    def attention_mask(self, batch: Batch, before: dict[str, Any], after: dict[str, Any]) -> tuple[Tensor, int]:
        """Mask of the steps that each query may attend to.

        For a causal model it depends on the documents: the stored document numbers are read and updated.

        Args:
            batch: the batch.
            before: state before the segment.
            after: state after the segment, to which the document numbers are added.

        Returns:
            The mask, (B, T, S) or (B, 1, S), and the number of steps to store for the next segment.
        """
        T = batch.inputs.shape[1]
        if not self.causal or not self.attends:
            return real_steps(batch.lengths, T)[:, None], 0
        # All steps of a document have the same number. Steps of earlier documents in the row are masked.
        remembered = before.get("documents")
        number = torch.zeros(batch.inputs.shape[:2], dtype=torch.long, device=batch.inputs.device)
        if batch.restarts is not None:
            number = batch.restarts.cumsum(1)
        if remembered is not None:
            number = number + remembered[:, -1:]
        documents, after["documents"] = append_steps(remembered, number, max(self.context_length - 1, 1))
        keep = self.context_length - 1
        return causal_window(documents[:, -(keep + T) :], T, self.context_length), keep

    def penalise(self, features: Tensor, dropped: Tensor) -> Tensor | None:
        """Activation penalties: alpha * mean of h_t^2 + beta * mean of (h_{t+1} - h_t)^2; None without penalties.

        The first term is computed after dropout, the second before it.

        Source: Merity et al. 2017, "Revisiting activation regularization for language RNNs", with the mean of squares
        over features as in its code.
        """
        penalty = None
        if self.activation_penalty:
            penalty = self.activation_penalty * dropped.float().square().mean()
        if self.change_penalty and features.dim() == 3 and features.shape[1] > 1:
            change = self.change_penalty * (features[:, 1:] - features[:, :-1]).float().square().mean()
            penalty = change if penalty is None else penalty + change
        return penalty


def build_embedding(config: SequenceConfig, spec: DataSpec) -> nn.Embedding | Linear:
    """An embedding of tokens or, for numeric inputs, a linear layer over each step's features.

    Vectors of tokens are drawn from a normal distribution with a small standard deviation. The vector of padding is
    zero and stays zero.
    """
    if spec.num_features is not None:
        return Linear(window_features(config, spec), config.embedding.embed_dim)
    assert spec.vocab_size is not None
    embedding = nn.Embedding(spec.vocab_size, config.embedding.embed_dim, padding_idx=spec.pad_id)
    nn.init.normal_(embedding.weight, std=EMBEDDING_STD)
    if spec.pad_id is not None:
        nn.init.zeros_(embedding.weight.data[spec.pad_id])
    embedding.weight.requires_grad_(not config.embedding.freeze)
    return embedding


def build_wide(config: SequenceConfig, spec: DataSpec) -> NgramBag | None:
    """The wide part that a config describes, still empty, or None without one.

    Raises:
        ConfigError: if the inputs are not tokens.
    """
    if config.wide is Wide.none:
        return None
    if spec.vocab_size is None:
        raise ConfigError(f"model.wide={config.wide.value}: reads tokens, and this data has numbers; use none")
    return NgramBag(
        spec.vocab_size,
        config.wide_longest,
        config.wide_size if config.wide_found is None else config.wide_found,
        len(spec.class_names),
        exclusive=spec.targets == Targets.sequence_class,
        dropout=config.wide_dropout,
        row_dropout=config.wide_row_dropout,
    )


def dropout_rate(config: SequenceConfig, spec: DataSpec) -> float:
    """Dropout between layers and on the features; forecasters see fewer numbers and have a lower default."""
    if config.dropout is not None:
        return config.dropout
    return FORECAST_DROPOUT if spec.horizon is not None else TEXT_DROPOUT


def window_features(config: SequenceConfig, spec: DataSpec) -> int:
    """Input features of a step: all features, or with independent variables one variable and all covariates."""
    assert spec.num_features is not None
    if spec.num_targets is not None and config.window.channels is Channels.independent:
        return 1 + spec.num_features - spec.num_targets
    return spec.num_features


def build_attention(config: AttentionConfig, query_size: int, memory_size: int, key: str) -> AttentionBlock | None:
    """The attention that a config describes, or None without one.

    Args:
        config: the options.
        query_size: Q.
        memory_size: M.
        key: name of the options in errors.

    Raises:
        ConfigError: if num_heads does not divide the memory size.
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
    return AttentionBlock(attention, query_size, config.residual)


def build_pooling(
    config: SequenceConfig, size: int, *, bidirectional: bool, pooled: bool
) -> Pooling | StepwisePooling | None:
    """The pooling that a config describes: over the sequence if ``pooled``, else at each step if it is attention."""
    kind = config.pooling.value
    if pooled:
        return Pooling(kind, size, bidirectional, config.kernel.value)
    return StepwisePooling(size) if kind.startswith("attention") else None
