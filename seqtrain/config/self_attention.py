"""Options of the model of self-attention alone."""

from dataclasses import dataclass, field
from typing import Any

from seqtrain.config.base import require
from seqtrain.config.sequence import EmbeddingConfig, Pooling, SequenceConfig


@dataclass
class SelfAttentionConfig(SequenceConfig):
    """Embedding -> positions -> self-attention blocks -> pooling; no recurrence."""

    dropout: float | None = 0.1
    """Dropout inside the blocks, and on the features unless ``output_dropout`` is set."""
    embedding: EmbeddingConfig = field(default_factory=lambda: EmbeddingConfig(dropout=0.3))
    """The embedding of the tokens; ``embed_dim`` is also the size of all blocks."""
    pooling: Pooling = Pooling.mean
    """How the features of all steps become one vector: ``mean``, ``max``, ``attention`` (a learned weighted mean),
    ``attention_max`` (attention and maximum, concatenated), or ``last`` (the last step)."""
    num_layers: int = 2
    """Number of stacked blocks."""
    num_heads: int = 4
    """Number of attention heads in each block; must divide ``embedding.embed_dim``."""
    feed_forward_size: int = 256
    """Hidden size of a block's feed-forward part."""
    qkv_tanh: bool = False
    """Apply tanh to queries, keys and values."""
    positions: bool = True
    """Encode positions: sinusoidal, or rotary (on queries and keys) if the task predicts the next step. Without
    positions the model does not see the order of the tokens."""

    def attention_reach(self) -> int:
        return super().attention_reach() + self.num_layers * self.context_length

    def meaning(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("num_heads", "qkv_tanh", "positions")}

    def widths(self, causal: bool) -> dict[str, int]:
        # Vectors from a file keep their size.
        size = {"embedding.embed_dim": self.num_heads} if self.embedding.path is None else {}
        return size | {"feed_forward_size": 1}

    def check(self, key: str) -> None:
        super().check(key)
        require(self.num_layers >= 1, f"{key}.num_layers", self.num_layers, "at least 1")
        require(self.feed_forward_size >= 1, f"{key}.feed_forward_size", self.feed_forward_size, "at least 1")
        heads, size = self.num_heads, self.embedding.embed_dim
        require(heads >= 1 and size % heads == 0, f"{key}.num_heads", heads,
                f"a divisor of {key}.embedding.embed_dim ({size})")  # fmt: skip
