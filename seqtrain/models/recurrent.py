"""Recurrent models: embedding, recurrent layers, and pooling where the task makes one prediction per sequence.

Shapes: B batch, T time.
"""

from typing import Any

from torch import Tensor, nn

from seqtrain.config.model import RecurrentConfig
from seqtrain.data.base import Batch, DataSpec
from seqtrain.errors import ConfigError
from seqtrain.layers.pooling import Pooling
from seqtrain.layers.recurrence import RecurrentStack

EMBEDDING_STD = 0.1  # of the initial vectors; torch's 1.0 saturates the gates


class RecurrentModel(nn.Module):
    """Features of a sequence: one vector a row if it has a pooling, else one a step.

    Args:
        embedding: tokens (B, T) to vectors (B, T, D).
        encoder: recurrent layers.
        pooling: states to one vector, or None.
        embedding_dropout: on the vectors.
        dropout: on the features.
    """

    def __init__(
        self,
        embedding: nn.Module,
        encoder: RecurrentStack,
        pooling: Pooling | None,
        embedding_dropout: float = 0.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.embedding = embedding
        self.encoder = encoder
        self.pooling = pooling
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.dropout = nn.Dropout(dropout)
        self.output_size = encoder.output_size if pooling is None else pooling.output_size

    @classmethod
    def from_config(cls, config: RecurrentConfig, spec: DataSpec, *, causal: bool, pooled: bool) -> "RecurrentModel":
        """Build the model that a config describes.

        Args:
            config: the options.
            spec: of the data.
            causal: the task predicts the next step, so no feature may depend on later ones.
            pooled: the task makes one prediction per sequence.

        Raises:
            ConfigError: if the config asks for both directions under a causal task.
        """
        if causal and config.bidirectional:
            raise ConfigError("model.bidirectional=True: this task predicts the next step; use false or null")
        bidirectional = not causal if config.bidirectional is None else config.bidirectional
        assert spec.vocab_size is not None
        embedding = nn.Embedding(spec.vocab_size, config.embedding.embed_dim, padding_idx=spec.pad_id)
        nn.init.normal_(embedding.weight, std=EMBEDDING_STD)
        if spec.pad_id is not None:
            nn.init.zeros_(embedding.weight.data[spec.pad_id])
        hidden_sizes = [config.hidden_size] * config.num_layers
        encoder = RecurrentStack(
            config.cell.value, config.embedding.embed_dim, hidden_sizes, bidirectional, config.dropout
        )
        pooling = Pooling(config.pooling.value, encoder.output_size, bidirectional) if pooled else None
        return cls(embedding, encoder, pooling, config.embedding.dropout, config.dropout)

    def forward(self, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        """Features (B, output_size), or (B, T, output_size) without pooling, and the recurrent state after step T."""
        x = self.embedding_dropout(self.embedding(batch.inputs))
        states, state = self.encoder(x, batch.lengths, state)
        features = states if self.pooling is None else self.pooling(states, batch.lengths)
        return self.dropout(features), state
