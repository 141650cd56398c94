"""Options of all models with an embedding before and a pooling after."""

from dataclasses import dataclass, field
from enum import Enum

from seqtrain.config.base import ModelConfig, require, require_fraction
from seqtrain.config.options import Affects, option
from seqtrain.config.window import WindowConfig


class Kernel(Enum):
    """Implementation that computes a recurrent layer."""

    auto = "auto"
    fused = "fused"
    torch = "torch"


class Pooling(Enum):
    """How the states of a sequence become one vector, for tasks with one prediction per sequence."""

    last = "last"
    mean = "mean"
    max = "max"
    attention = "attention"
    attention_max = "attention_max"
    concat = "concat"


class Wide(Enum):
    """What a text classifier reads besides the network."""

    none = "none"
    ngrams = "ngrams"


@dataclass
class EmbeddingConfig:
    """The embedding: the first layer, which turns tokens into vectors."""

    embed_dim: int = 128
    """Size of a token's vector."""
    dropout: float = 0.5
    """Dropout on the embedded tokens; not applied to numeric inputs."""
    word_dropout: float = 0.0
    """Dropout of whole words: a dropped word is dropped wherever it occurs in the batch."""
    path: str | None = None
    """GloVe or word2vec text file with initial vectors of the tokens; tokens that are not in it start at random."""
    freeze: bool = False
    """Do not train the embedding; needs ``path``."""


@dataclass
class SequenceConfig(ModelConfig):
    """Options of all model families with an embedding before and a pooling after."""

    window: WindowConfig = field(default_factory=WindowConfig)
    """How windows of a series are treated; without effect on other tasks than forecasting."""

    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    """The embedding of the tokens."""
    dropout: float | None = None
    """Dropout between layers, and on the features unless ``output_dropout`` is set; null: 0.5, or 0.1 for
    forecasting."""
    output_dropout: float | None = None
    """Dropout on the features; null takes ``dropout``."""
    activation_penalty: float = 0.0
    """Weight of the features' mean square in the loss (activation regularisation)."""
    change_penalty: float = 0.0
    """Weight in the loss of the mean square of the features' change from step to step (temporal activation
    regularisation)."""
    context_length: int = 256
    """Steps that attention looks back over, the current one included, if the task predicts the next step."""
    pooling: Pooling = Pooling.last
    """How states become one vector: ``last``, ``mean``, ``max``, ``attention`` (a learned weighted mean),
    ``attention_max`` (attention and maximum, concatenated), or ``concat`` (last, mean and maximum, concatenated)."""
    wide: Wide = Wide.none
    """A wide part beside the network of a text classifier: ``ngrams`` weighs each n-gram of the text, starting from
    naive Bayes; ``none`` for the network alone."""
    wide_longest: int = 3
    """Tokens of the longest n-grams of the wide part."""
    wide_size: int = 250_000
    """Largest number of n-grams of the wide part: those in the most training texts, and in two at least."""
    wide_dropout: float = 0.2
    """Dropout of single n-grams of a text in the wide part."""
    wide_row_dropout: float = 0.5
    """Share of the training texts from which the network learns without the wide part. The wide part fits train within
    an epoch; beside it, the network would learn next to nothing."""
    wide_found: int | None = option(None, Affects.found)
    """Number of n-grams in the wide part's table; training sets it."""
    kernel: Kernel = Kernel.auto
    """What computes the recurrence and the attention pooling: ``torch``; ``fused`` kernels for gru, lstm, rnn and the
    pooling, on a CPU in fp32; or ``auto``, the fused kernels if they can be used and are faster."""

    def kernels(self) -> list[str]:
        attends = self.pooling in (Pooling.attention, Pooling.attention_max)
        return ["additive_pooling"] if attends and self.kernel is not Kernel.torch else []

    def attention_reach(self) -> int:
        """Steps that all attention layers together can look back, if the task predicts the next step; 0 without any."""
        return self.context_length if self.pooling in (Pooling.attention, Pooling.attention_max) else 0

    def check(self, key: str) -> None:
        self.window.check(f"{key}.window")
        require(self.embedding.embed_dim >= 1, f"{key}.embedding.embed_dim", self.embedding.embed_dim, "at least 1")
        require_fraction(self.embedding.dropout, f"{key}.embedding.dropout")
        require_fraction(self.embedding.word_dropout, f"{key}.embedding.word_dropout")
        require_fraction(self.output_dropout or 0.0, f"{key}.output_dropout")
        for name in ("activation_penalty", "change_penalty"):
            require(getattr(self, name) >= 0, f"{key}.{name}", getattr(self, name), "at least 0")
        require(self.context_length >= 1, f"{key}.context_length", self.context_length, "at least 1")
        require(self.wide_longest >= 1, f"{key}.wide_longest", self.wide_longest, "at least 1")
        require(self.wide_size >= 1, f"{key}.wide_size", self.wide_size, "at least 1")
        for name in ("wide_dropout", "wide_row_dropout"):
            require_fraction(getattr(self, name), f"{key}.{name}")
        found = self.wide_found
        require(found is None or found >= 0, f"{key}.wide_found", found, "null, or a number that training found")
        require(
            not self.embedding.freeze or self.embedding.path is not None,
            f"{key}.embedding.freeze",
            True,
            f"false unless {key}.embedding.path is given: random vectors would never be trained",
        )
        require_fraction(self.dropout or 0.0, f"{key}.dropout")
