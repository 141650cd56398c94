"""Translator: a recurrent encoder reads the source, and a recurrent decoder with attention predicts the target.

Shapes: B batch, S source steps, T target steps, E embedding features, M encoder features, H decoder features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from seqtrain.config.encoder_decoder import TranslatorConfig
from seqtrain.config.sequence import SequenceConfig
from seqtrain.data.base import Batch
from seqtrain.data.pairs.batch import PairBatch
from seqtrain.data.spec import DataSpec
from seqtrain.layers.attention import AdditiveAttention, AttentionBlock, DotAttention, Prepared
from seqtrain.layers.cells import CandidateGRUCell, CellLayer
from seqtrain.layers.masks import real_steps
from seqtrain.layers.pooling import Pooling
from seqtrain.layers.products import Linear
from seqtrain.layers.recurrence import RecurrentLayer, RecurrentStack
from seqtrain.models.recurrent import build_stack
from seqtrain.models.sequence import SequenceModel, build_attention, build_embedding, dropout_rate

State = dict[str, Any]
"""State of the decoder: of its ``layers``, and the features of the step before that it reads (``fed``). The rows of the
batch are the last axis but one of each tensor."""


@dataclass(frozen=True)
class Memory:
    """What the decoder attends to."""

    prepared: list[Prepared]
    """Keys and values of the encoder's states for each attention layer of the decoder."""
    mask: Tensor
    """True at real steps of the source, (B, 1, S)."""

    def rows(self, index: Tensor) -> "Memory":
        """The memory of rows with these numbers."""
        return Memory([(keys[index], values[index]) for keys, values in self.prepared], self.mask[index])


class Translator(SequenceModel):
    """Embedding -> encoder -> decoder over the target embedding -> attention -> joined features.

    A linear layer and a tanh turn the encoder's last state, of both directions, into the decoder's first state. At each
    step the decoder reads the token before; its state h is the query of the attention, which returns a context c of the
    encoder's states; and the features are tanh(W [c; h]). With input feeding the decoder also reads the features of the
    step before, and runs step by step; else all target steps are computed at once. Without attention the features are
    h.

    Args:
        config: dropout and penalties.
        embedding: source tokens to vectors (B, S, E).
        target_embedding: target tokens to vectors (B, T, E).
        encoder: in one direction or both.
        decoder: reads vectors of E features, and H more with input feeding.
        attention: of the decoder's states over the encoder's, or None.
        dropout: on the features.

    Source: Luong et al. 2015, "Effective approaches to attention-based neural machine translation", eq. 5 and section
    3.3 (input feeding); Bahdanau et al. 2015, "Neural machine translation by jointly learning to align and translate",
    appendix A.2.2, for the first state, which there comes from the backward direction alone.
    """

    by_depth = ("embedding", "encoder", "target_embedding", "bridge", "decoder", "output_attention", "joined")
    encoder: RecurrentStack

    def __init__(
        self,
        config: TranslatorConfig,
        embedding: nn.Module,
        target_embedding: nn.Module,
        encoder: RecurrentStack,
        decoder: RecurrentStack,
        attention: AttentionBlock | None,
        dropout: float,
    ):
        locked = config.locked_dropout
        super().__init__(config, embedding, encoder, None, dropout, locked=locked, output_attention=attention)
        self.target_embedding, self.decoder = target_embedding, decoder
        self.input_feeding = config.input_feeding
        self.output_size = decoder.output_size
        self.bridge = Linear(encoder.output_size, sum(size * parts for size, parts in self.layer_states()))
        context = 0 if attention is None else attention.output_size
        self.joined = Linear(context + self.output_size, self.output_size, bias=False) if context else None
        for layer in (self.bridge, self.joined):
            if layer is not None:
                nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(self.bridge.bias)

    @classmethod
    def from_config(cls, config: TranslatorConfig, spec: DataSpec, *, causal: bool, pooled: bool) -> "Translator":
        """Build the model that a config describes.

        Raises:
            ConfigError: if num_heads does not divide the size of the encoder's states.
        """
        size, dropout = config.embedding.embed_dim, dropout_rate(config, spec)
        target_embedding = build_target_embedding(config, spec)
        encoder = build_stack(config, size, dropout, bidirectional=config.reads_both_ways())
        decoder_size = (config.hidden_sizes or [config.hidden_size])[-1]
        decoder = build_stack(
            config, size + (decoder_size if config.input_feeding else 0), dropout, bidirectional=False
        )
        own_attention = replace(config.attention, residual=False)
        attention = build_attention(own_attention, decoder.output_size, encoder.output_size, "model.attention")
        return cls(config, build_embedding(config, spec), target_embedding, encoder, decoder, attention, dropout)

    def forward(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """Features of each target step, (B, T, H), from the true tokens before it (teacher forcing)."""
        batch = cast(PairBatch, batch)
        memory, decoding = self.read(batch)
        vectors = self.embed(batch.previous, self.target_embedding)
        if self.input_feeding:
            steps = []
            for vector in vectors.unbind(1):
                features, decoding = self.decode(vector[:, None], None, memory, decoding)
                steps.append(features)
            features = torch.cat(steps, dim=1)
        else:
            features, _ = self.decode(vectors, batch.target_lengths, memory, decoding)
        return self.apply_output_dropout(features), None

    def read(self, batch: Batch) -> tuple[Memory, State]:
        """Read the sources of a batch: what the decoder attends to, and its first state."""
        states, _ = self.encoder(self.embed(batch.inputs), batch.lengths)
        last = Pooling("last", states.shape[-1], self.encoder.bidirectional)(states, batch.lengths)
        attention = self.attention
        prepared = [] if attention is None else [attention.prepared(states)]
        state: State = {"layers": self.first_state(last)}
        if self.input_feeding:
            state["fed"] = last.new_zeros(len(last), self.output_size)
        return Memory(prepared, real_steps(batch.lengths, states.shape[1])[:, None]), state

    def step(self, tokens: Tensor, memory: Memory, state: State) -> tuple[Tensor, State]:
        """One step of decoding, in evaluation mode: features (B, H) after tokens (B,), and the new state."""
        features, state = self.decode(self.embed(tokens[:, None], self.target_embedding), None, memory, state)
        return features[:, 0], state

    def decode(self, vectors: Tensor, lengths: Tensor | None, memory: Memory, state: State) -> tuple[Tensor, State]:
        """Run the decoder over embedded tokens (B, T, E), of which a step with input feeding has one only.

        Returns:
            Features (B, T, H), before dropout, and the state after the last step.
        """
        if lengths is None:
            lengths = torch.full((len(vectors),), vectors.shape[1], device=vectors.device)
        if self.input_feeding:
            vectors = torch.cat([vectors, state["fed"][:, None]], dim=-1)
        features, layers = self.decoder(vectors, lengths, state["layers"])
        attention = self.attention
        if attention is not None and self.joined is not None:
            context = attention.attend_to(attention.queries(features), memory.prepared[0], memory.mask)
            features = torch.tanh(self.joined(torch.cat([context, features], dim=-1)))
        return features, {"layers": layers} | ({"fed": features[:, -1]} if self.input_feeding else {})

    @property
    def attention(self) -> DotAttention | AdditiveAttention | None:
        """The attention over the encoder's states."""
        return None if self.output_attention is None else self.output_attention.attention

    def layer_states(self) -> list[tuple[int, int]]:
        """Size and number of the tensors of each layer's state."""
        return [
            (layer.output_size, 2 if has_two(layer.forward_layer) else 1)
            for layer in cast(Sequence[RecurrentLayer], self.decoder.layers)
        ]

    def first_state(self, last: Tensor) -> list[Any]:
        """State of each layer of the decoder before the first step, from the encoder's last state (B, M)."""
        sizes = self.layer_states()
        numbers = torch.tanh(self.bridge(last)).split([size for size, parts in sizes for _ in range(parts)], dim=-1)
        states, place = [], 0
        for layer, (_, parts) in zip(cast(Sequence[RecurrentLayer], self.decoder.layers), sizes, strict=True):
            own = numbers[place : place + parts]
            place += parts
            if not isinstance(layer.forward_layer, CellLayer):  # torch's layers want an axis of directions
                own = tuple(part[None].contiguous() for part in own)
            states.append(own if parts == 2 else own[0])
        return states


def build_target_embedding(config: SequenceConfig, spec: DataSpec) -> nn.Module:
    """Embedding of the target's tokens, as the config describes that of the source; it is never frozen."""
    own = replace(config, embedding=replace(config.embedding, freeze=False))
    return build_embedding(own, replace(spec, vocab_size=spec.target_vocab_size))


def has_two(layer: nn.Module) -> bool:
    """Whether the state of a layer is a pair of tensors."""
    return isinstance(layer, nn.LSTM) or (isinstance(layer, CellLayer) and isinstance(layer.cell, CandidateGRUCell))
