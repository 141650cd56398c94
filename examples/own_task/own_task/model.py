"""The mean of the words' vectors.

Shapes: B batch, T time, D features.
"""

from typing import Any

from torch import Tensor, nn

from own_task.config import WordMeanConfig
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.layers.masks import real_steps


class WordMean(nn.Module):
    """One vector for each text: the mean of the vectors of its words, without padding.

    Args:
        vocab_size: words.
        pad_id: the word that fills rows up.
        embed_dim: D.
        dropout: on the mean.
    """

    def __init__(self, vocab_size: int, pad_id: int | None, embed_dim: int, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_dim, padding_idx=pad_id)
        self.dropout = nn.Dropout(dropout)
        self.output_size = embed_dim

    @classmethod
    def from_config(cls, config: WordMeanConfig, spec: DataSpec, *, causal: bool, pooled: bool) -> "WordMean":
        """Build the model that a config describes."""
        assert spec.vocab_size is not None
        return cls(spec.vocab_size, spec.pad_id, config.embed_dim, config.dropout)

    def forward(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """Features (B, D), and no state."""
        real = real_steps(batch.lengths, batch.inputs.shape[1])[..., None]
        total = (self.embedding(batch.inputs) * real).sum(1)
        return self.dropout(total / batch.lengths[:, None]), None
