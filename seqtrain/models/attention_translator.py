"""Translator without recurrence: self-attention blocks read the source, and decoder blocks predict the target.

Shapes: B batch, S source steps, T target steps, D features of embeddings and blocks.
"""

from typing import Any, cast

from torch import Tensor, nn

from seqtrain.config.encoder_decoder import AttentionTranslatorConfig
from seqtrain.data.base import Batch
from seqtrain.data.pairs.batch import PairBatch
from seqtrain.data.spec import DataSpec
from seqtrain.layers.attention import DotAttention
from seqtrain.layers.decoding import DecoderStack, Past
from seqtrain.layers.masks import real_steps
from seqtrain.layers.self_attention import SelfAttentionStack
from seqtrain.models.sequence import SequenceModel, build_embedding, dropout_rate
from seqtrain.models.translator import Memory, build_target_embedding


class AttentionTranslator(SequenceModel):
    """Embedding -> self-attention blocks -> decoder blocks over the target embedding, which attend to the source.

    A target step sees itself and the steps before it. Source steps have sinusoidal positions, target steps rotary ones,
    as in the encoders of ``self_attn``.

    Args:
        config: dropout and penalties.
        embedding: source tokens to vectors (B, S, D).
        target_embedding: target tokens to vectors (B, T, D).
        encoder: blocks over the source.
        decoder: blocks over the target.
        dropout: on the features.

    Source: Vaswani et al. 2017, "Attention is all you need"; see ``SelfAttentionStack`` and ``DecoderBlock`` for what
    differs.
    """

    by_depth = ("embedding", "encoder", "target_embedding", "decoder")
    encoder: SelfAttentionStack

    def __init__(
        self,
        config: AttentionTranslatorConfig,
        embedding: nn.Module,
        target_embedding: nn.Module,
        encoder: SelfAttentionStack,
        decoder: DecoderStack,
        dropout: float,
    ):
        super().__init__(config, embedding, encoder, None, dropout)
        self.target_embedding, self.decoder = target_embedding, decoder
        self.output_size = decoder.output_size

    @classmethod
    def from_config(
        cls, config: AttentionTranslatorConfig, spec: DataSpec, *, causal: bool, pooled: bool
    ) -> "AttentionTranslator":
        """Build the model that a config describes; arguments as in ``RecurrentModel.from_config``."""
        dropout = dropout_rate(config, spec)
        target_embedding = build_target_embedding(config, spec)
        sizes = (config.embedding.embed_dim, config.num_layers, config.num_heads, config.feed_forward_size)
        options: dict[str, Any] = {"qkv_tanh": config.qkv_tanh, "dropout": dropout, "positions": config.positions}
        encoder, decoder = SelfAttentionStack(*sizes, **options), DecoderStack(*sizes, **options)
        return cls(config, build_embedding(config, spec), target_embedding, encoder, decoder, dropout)

    @property
    def attention(self) -> DotAttention:
        """The attention to the source of the last block."""
        return self.decoder.each()[-1].source

    def forward(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """Features of each target step, (B, T, D), from the true tokens before it (teacher forcing)."""
        batch = cast(PairBatch, batch)
        memory, past = self.read(batch)
        features, _ = self.decode(self.embed(batch.previous, self.target_embedding), memory, past)
        return self.apply_output_dropout(features), None

    def read(self, batch: Batch) -> tuple[Memory, list[Past]]:
        """Read the sources of a batch: what the decoder attends to, and its state before the first step."""
        mask = real_steps(batch.lengths, batch.inputs.shape[1])[:, None]
        states, _ = self.encoder(self.embed(batch.inputs), mask)
        return Memory(self.decoder.prepared(states), mask), []

    def step(self, tokens: Tensor, memory: Memory, state: list[Past]) -> tuple[Tensor, list[Past]]:
        """One step of decoding, in evaluation mode: features (B, D) after tokens (B,), and the new state."""
        features, state = self.decode(self.embed(tokens[:, None], self.target_embedding), memory, state)
        return features[:, 0], state

    def decode(self, vectors: Tensor, memory: Memory, state: list[Past]) -> tuple[Tensor, list[Past]]:
        """Run the decoder over embedded tokens (B, T, D).

        Args:
            vectors: the tokens.
            memory: what ``read`` returned.
            state: keys and values of the steps before, by block; empty before the first.

        Returns:
            Features (B, T, D), before dropout, and keys and values of all steps so far.
        """
        features: Tensor
        features, state = self.decoder(vectors, state, memory.prepared, memory.mask)
        return features, state
