"""Options of the models."""

from dataclasses import dataclass, field
from enum import Enum

from seqtrain.config.base import ModelConfig, require


class Cell(Enum):
    """Recurrence of a layer."""

    rnn = "rnn"
    lstm = "lstm"
    gru = "gru"


class Pooling(Enum):
    """How the states of a sequence become one vector, for tasks with one prediction per sequence."""

    last = "last"
    mean = "mean"
    max = "max"
    attention = "attention"
    attention_max = "attention_max"


@dataclass
class EmbeddingConfig:
    """The first layer: tokens to vectors."""

    embed_dim: int = 128
    """Size of a token's vector."""
    dropout: float = 0.5
    """Dropout on the embedded tokens."""


@dataclass
class RecurrentConfig(ModelConfig):
    """Embedding -> recurrent layers -> pooling (where the task makes one prediction per sequence)."""

    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    """Tokens to vectors."""
    cell: Cell = Cell.gru
    """Recurrence of every layer."""
    hidden_size: int = 128
    """Size of a layer's state, per direction."""
    num_layers: int = 1
    """Recurrent layers, one above the other."""
    bidirectional: bool | None = None
    """Also run over the sequence from its end; null follows the task: true unless it predicts the next step."""
    dropout: float = 0.5
    """Dropout between recurrent layers and on the features."""
    pooling: Pooling = Pooling.last
    """``last`` state, ``mean``, ``max``, ``attention`` (a learned weighted mean) or ``attention_max`` (both)."""

    def check(self, key: str) -> None:
        require(self.embedding.embed_dim >= 1, f"{key}.embedding.embed_dim", self.embedding.embed_dim, "at least 1")
        require(0 <= self.embedding.dropout < 1, f"{key}.embedding.dropout", self.embedding.dropout, "in [0, 1)")
        require(self.hidden_size >= 1, f"{key}.hidden_size", self.hidden_size, "at least 1")
        require(self.num_layers >= 1, f"{key}.num_layers", self.num_layers, "at least 1")
        require(0 <= self.dropout < 1, f"{key}.dropout", self.dropout, "in [0, 1)")
