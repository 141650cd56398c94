"""Encoder-decoder forecaster: one recurrence reads the window, another decodes the horizon with attention.

Shapes: B batch, T lookback, S horizon, D embedding features, F features known for the future, H hidden.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from seqtrain.config.encoder_decoder import EncoderDecoderConfig
from seqtrain.data.base import Batch
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.layers.attention import AttentionBlock
from seqtrain.layers.masks import real_steps
from seqtrain.layers.recurrence import RecurrentStack
from seqtrain.models.recurrent import build_stack
from seqtrain.models.sequence import SequenceModel, build_attention, build_embedding, dropout_rate


class EncoderDecoderModel(SequenceModel):
    """Embedding -> encoder -> decoder, started from the encoder's last state -> (attention over the encoder's states).

    At each step of the horizon the decoder reads a learned position embedding, concatenated with a projection of the
    features known for that step. It never reads a forecast, so all steps are decoded in one call. Step s depends on the
    known features up to step s only.

    Args:
        config: dropout and penalties.
        embedding: features of the window to vectors (B, T, D).
        encoder: runs in one direction.
        decoder: reads vectors (B, S, D), or (B, S, 2 D) with known features; its layers have the encoder's sizes.
        attention: attention of the decoder's states over the encoder's, or None.
        dropout: on the features.
        horizon: S.
        num_future: F.

    Source: Bahdanau et al. 2015, "Neural machine translation by jointly learning to align and translate", and Luong et
    al. 2015, "Effective approaches to attention-based neural machine translation". As in Luong, section 3.1, the query
    is the state after the step, and no context enters the recurrence. But the context is added to the state, where
    Luong joins both under a tanh (eq. 5). Unlike in both papers, the decoder is not autoregressive (parallel decoding,
    as in SegmentModel).
    """

    by_depth = ("embedding", "encoder", "decoder", "output_attention")
    encoder: RecurrentStack

    def __init__(
        self,
        config: EncoderDecoderConfig,
        embedding: nn.Module,
        encoder: RecurrentStack,
        decoder: RecurrentStack,
        attention: AttentionBlock | None,
        dropout: float,
        horizon: int,
        num_future: int,
    ):
        locked = config.locked_dropout
        super().__init__(config, embedding, encoder, None, dropout, locked=locked, output_attention=attention)
        self.decoder = decoder
        self.num_segments = horizon
        size = config.embedding.embed_dim
        self.position_embedding = nn.Parameter(torch.randn(horizon, size))
        self.future_projection = nn.Linear(num_future, size) if num_future else None

    @classmethod
    def from_config(
        cls, config: EncoderDecoderConfig, spec: DataSpec, *, causal: bool, pooled: bool
    ) -> "EncoderDecoderModel":
        """Build the model that a config describes.

        Raises:
            ConfigError: if the task is recursive, or num_heads does not divide the memory
                size.
        """
        assert spec.horizon is not None  # by ``config.targets``
        if causal:
            raise ConfigError(
                f"task.strategy=recursive: model={config.name} decodes all steps at once; use task.strategy=direct"
            )
        size, dropout = config.embedding.embed_dim, dropout_rate(config, spec)
        embedding = build_embedding(config, spec)
        encoder = build_stack(config, size, dropout, bidirectional=False)
        decoder = build_stack(config, 2 * size if spec.num_future else size, dropout, bidirectional=False)
        attention = build_attention(config.attention, decoder.output_size, encoder.output_size, "model.attention")
        return cls(config, embedding, encoder, decoder, attention, dropout, spec.horizon, spec.num_future)

    def forward(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """Features of each step of the horizon, (B, S, H); every window must have T real steps."""
        states, last = self.encoder(self.embed(batch.inputs), batch.lengths)
        steps = self.decoder_inputs(cast(ForecastBatch, batch))
        decoded, _ = self.decoder(steps, torch.full_like(batch.lengths, self.num_segments), last)
        if self.output_attention is not None:
            mask = real_steps(batch.lengths, states.shape[1])[:, None]
            decoded = self.output_attention(decoded, states, mask)
        return self.apply_output_dropout(decoded), None

    def decoder_inputs(self, batch: ForecastBatch) -> Tensor:
        """Inputs of the decoder, (B, S, D) or (B, S, 2 D)."""
        rows = len(batch.inputs)
        position = self.position_embedding.expand(rows, -1, -1)
        if self.future_projection is None:
            return position
        # The known features stand once per window; with independent variables a window has several consecutive rows.
        known = self.future_projection(batch.future).repeat_interleave(rows // len(batch.future), dim=0)
        return torch.cat([position, known], dim=-1)
