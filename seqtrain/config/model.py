"""Options of the models."""

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from seqtrain.config.base import ModelConfig, Targets, require
from seqtrain.config.options import Affects, option


class Cell(Enum):
    """Recurrent cell of a layer; docs/models.md gives the equations."""

    rnn = "rnn"
    lstm = "lstm"
    gru = "gru"
    gru_candidate = "gru_candidate"
    gru_coupled = "gru_coupled"


class Nonlinearity(Enum):
    """Nonlinearity of an Elman network (``cell: rnn``)."""

    tanh = "tanh"
    relu = "relu"


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


class Score(Enum):
    """How attention compares a query and a key; ``none`` for no attention."""

    none = "none"
    additive = "additive"
    dot = "dot"
    scaled_dot = "scaled_dot"
    general = "general"
    multihead = "multihead"


class Memory(Enum):
    """What an output attention attends to."""

    states = "states"
    inputs = "inputs"


class RecurrentInit(Enum):
    """Distribution of the initial recurrent matrices."""

    orthogonal = "orthogonal"
    xavier = "xavier"
    uniform = "uniform"


class Wide(Enum):
    """What a text classifier reads besides the network."""

    none = "none"
    ngrams = "ngrams"


def require_fraction(value: float, key: str) -> None:
    """Raise ConfigError unless a dropout probability is in [0, 1)."""
    require(0 <= value < 1, key, value, "in [0, 1)")


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
class AttentionConfig:
    """An attention layer. Whether it is causal follows from the task."""

    score: Score = Score.none
    """How a query and a key are compared: ``additive``, ``dot``, ``scaled_dot``, ``general``, ``multihead``, or
    ``none`` for no attention."""
    memory: Memory = Memory.states
    """Keys and values of an output attention: the recurrent ``states``, or the ``inputs`` of the recurrence."""
    project: bool = False
    """Project queries, keys and values by learned maps before ``dot`` and ``scaled_dot``; ``multihead`` always does."""
    num_heads: int = 4
    """Number of heads of ``multihead``; must divide the size of the memory."""
    residual: bool = True
    """Add the attention's output to the query; if false, the output replaces the query."""
    dropout: float = 0.0
    """Dropout on the attention weights."""

    def meaning(self, key: str) -> dict[str, Any]:
        """Options, by key, on which it depends what the layer computes from given weights."""
        if self.score is Score.none:
            return {f"{key}.score": self.score}
        names = ("score", "memory", "project", "num_heads", "residual")
        return {f"{key}.{name}": getattr(self, name) for name in names}

    def divisor(self, parts: int) -> int:
        """What a state's size must be a multiple of, if a step of the memory joins ``parts`` states."""
        if self.score is not Score.multihead or self.memory is not Memory.states:
            return 1
        return self.num_heads // math.gcd(self.num_heads, parts)

    def check(self, key: str) -> None:
        """Raise ConfigError if a value is out of range."""
        require(self.num_heads >= 1, f"{key}.num_heads", self.num_heads, "at least 1")
        mapped = (Score.dot, Score.scaled_dot, Score.multihead)
        require(
            not self.project or self.score in mapped,
            f"{key}.project",
            True,
            f"false with {key}.score={self.score.value}: only dot and scaled_dot have it",
        )
        require_fraction(self.dropout, f"{key}.dropout")


class WindowNorm(Enum):
    """How a window of a series is normalised before the model; its forecast is transformed back after it."""

    none = "none"
    subtract_last = "subtract_last"
    revin = "revin"


class Channels(Enum):
    """How a model sees the variables of a series."""

    joint = "joint"
    independent = "independent"


@dataclass
class WindowConfig:
    """How a forecaster treats a window of a series."""

    norm: WindowNorm = WindowNorm.none
    """Normalisation of each window: ``none``, ``subtract_last`` (subtract its last value), or ``revin`` (its own mean
    and standard deviation, with learned gains)."""
    channels: Channels = Channels.joint
    """``joint`` reads all variables as the features of a step; ``independent`` reads each variable alone, with the same
    weights."""
    cycle: int | str | None = None
    """Steps of a learned cycle of each variable, which is subtracted from the normalised window and added to its
    forecast; ``auto`` takes the season of the data, null learns none."""

    def check(self, key: str) -> None:
        """Raise ConfigError if a value is out of range."""
        fits = self.cycle >= 2 if isinstance(self.cycle, int) else self.cycle in (None, "auto")
        require(fits, f"{key}.cycle", self.cycle, "auto, null or at least 2 (steps)")


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


@dataclass
class RecurrentConfig(SequenceConfig):
    """Embedding -> (input attention) -> recurrent layers -> (output attention) -> pooling."""

    cell: Cell = Cell.gru
    """Recurrent cell of all layers."""
    hidden_size: int = 128
    """Size of a layer's state in each direction."""
    num_layers: int = 1
    """Number of stacked recurrent layers."""
    hidden_sizes: list[int] | None = None
    """Size of each layer's state, from the first layer to the last; replaces ``hidden_size`` and ``num_layers``."""
    bidirectional: bool | None = None
    """Also read the sequence backwards; null: true, unless the task predicts the next step."""
    nonlinearity: Nonlinearity = Nonlinearity.tanh
    """Nonlinearity of ``cell: rnn``."""
    reset_after: bool = True
    """For ``cell: gru``: apply the reset gate after the matrix product, as torch and cuDNN do, or before it, as in the
    original paper."""
    layer_norm: bool = False
    """Normalise the output of each recurrent layer."""
    residual: bool = False
    """Add a recurrent layer's input to its output, from the second layer on, if their sizes are equal."""
    locked_dropout: bool = False
    """Use the same dropout mask for all steps: on embedded tokens, between layers, and on the features."""
    weight_drop: float = 0.0
    """Dropout of single weights of the recurrent matrices, drawn once per batch (DropConnect)."""
    recurrent_init: RecurrentInit = RecurrentInit.orthogonal
    """Initial recurrent matrices: ``orthogonal``, ``xavier``, or ``uniform`` in +-1/sqrt(hidden_size), as in torch."""
    forget_bias: float = 1.0
    """Initial bias of an LSTM's forget gate."""
    chrono_init: int | None = None
    """Longest expected dependency (steps). The gates' initial biases are set so that states remember up to this long;
    null leaves the biases as they are."""
    input_attention: AttentionConfig = field(default_factory=AttentionConfig)
    """Self-attention over the embedded tokens, before the recurrence."""
    output_attention: AttentionConfig = field(default_factory=AttentionConfig)
    """Attention of the recurrent states over ``memory``, after the recurrence."""

    def kernels(self) -> list[str]:
        names = {
            Cell.gru: "gru_after" if self.reset_after else "gru_before",
            Cell.lstm: "lstm",
            Cell.rnn: f"rnn_{self.nonlinearity.value}",
        }
        own = [names[self.cell]] if self.cell in names and self.kernel is not Kernel.torch else []
        return own + super().kernels()

    def attention_reach(self) -> int:
        slots = sum(slot.score is not Score.none for slot in (self.input_attention, self.output_attention))
        return super().attention_reach() + slots * self.context_length

    def meaning(self) -> dict[str, Any]:
        names = ["cell", "layer_norm", "residual"]
        names += ["nonlinearity"] if self.cell is Cell.rnn else ["reset_after"] if self.cell is Cell.gru else []
        return {name: getattr(self, name) for name in names} | self.input_attention.meaning("input_attention")

    def widths(self, causal: bool) -> dict[str, int]:
        both = not causal if self.bidirectional is None else self.bidirectional
        multiple = self.output_attention.divisor(2 if both else 1)
        return {"hidden_size" if self.hidden_sizes is None else "hidden_sizes": multiple}

    def check(self, key: str) -> None:
        super().check(key)
        require(self.hidden_size >= 1, f"{key}.hidden_size", self.hidden_size, "at least 1")
        require_fraction(self.weight_drop, f"{key}.weight_drop")
        require(self.num_layers >= 1, f"{key}.num_layers", self.num_layers, "at least 1")
        sizes = self.hidden_sizes
        require(sizes is None or (len(sizes) > 0 and min(sizes) >= 1), f"{key}.hidden_sizes", sizes,
                "null, or a list with a size of at least 1 for each layer")  # fmt: skip
        require(
            self.chrono_init is None or self.chrono_init > 2, f"{key}.chrono_init", self.chrono_init, "above 2, or null"
        )
        has_kernels = self.cell in (Cell.gru, Cell.lstm, Cell.rnn)
        require(
            self.kernel is not Kernel.fused or has_kernels,
            f"{key}.kernel",
            "fused",
            f"auto or torch with {key}.cell={self.cell.value}: only gru, lstm and rnn have fused kernels",
        )
        self.input_attention.check(f"{key}.input_attention")
        memory = self.input_attention.memory
        require(
            memory is Memory.states,
            f"{key}.input_attention.memory",
            memory.value,
            "left out: it attends to the embedded tokens themselves",
        )
        self.output_attention.check(f"{key}.output_attention")


@dataclass
class RecurrentConvolutionConfig(RecurrentConfig):
    """A recurrent model beside convolutions over the same inputs, whose means over time are joined to its features."""

    filters: list[int] = field(default_factory=lambda: [128, 256, 128])
    """Filters of each convolution, from the first to the last. Each is followed by batch normalisation and ReLU."""
    kernel_sizes: list[int] = field(default_factory=lambda: [8, 5, 3])
    """Steps that a filter of each convolution sees."""

    def meaning(self) -> dict[str, Any]:
        return super().meaning() | {"kernel_sizes": self.kernel_sizes}

    def widths(self, causal: bool) -> dict[str, int]:
        return {"filters": 1} | super().widths(causal)

    def check(self, key: str) -> None:
        super().check(key)
        for name in ("filters", "kernel_sizes"):
            sizes = getattr(self, name)
            require(len(sizes) > 0 and min(sizes) >= 1, f"{key}.{name}", sizes, "a list of sizes of at least 1")
        require(len(self.kernel_sizes) == len(self.filters), f"{key}.kernel_sizes", self.kernel_sizes,
                f"as many as {key}.filters ({len(self.filters)})")  # fmt: skip


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


@dataclass
class LinearConfig(ModelConfig):
    """Linear maps from the steps of the lookback to those of the horizon, shared by all variables."""

    targets = Targets.future

    window: WindowConfig = field(default_factory=lambda: WindowConfig(channels=Channels.independent))
    """How windows are treated; ``channels`` must be ``independent`` for this model."""
    decompose: bool = False
    """Use one map for the moving average of the window, and one for the rest."""
    kernel_size: int = 25
    """Length of the moving average (steps); odd."""

    def check(self, key: str) -> None:
        self.window.check(f"{key}.window")
        require(self.kernel_size >= 1 and self.kernel_size % 2 == 1, f"{key}.kernel_size", self.kernel_size, "odd")
        require(
            self.window.channels is Channels.independent,
            f"{key}.window.channels",
            "joint",
            "independent for this model",
        )


@dataclass
class SegmentConfig(ModelConfig):
    """Forecaster: a GRU reads embedded segments of the lookback, and decodes all segments of the horizon at once."""

    targets = Targets.future

    window: WindowConfig = field(default_factory=lambda: WindowConfig(WindowNorm.subtract_last, Channels.independent))
    """How windows are treated; ``channels`` must be ``independent`` for this model."""
    segment_length: int = 48
    """Length of a segment (steps); must divide lookback and horizon."""
    hidden_size: int = 512
    """Size of the embedded segments and of the GRU's state; even."""
    kernel: Kernel = Kernel.auto
    """What computes the GRU: ``torch``; the ``fused`` kernel, on a CPU in fp32; or ``auto``, the fused kernel if it can
    be used and is faster."""
    dropout: float = 0.5
    """Dropout before the output layer."""

    def kernels(self) -> list[str]:
        return [] if self.kernel is Kernel.torch else ["gru_after"]

    def widths(self, causal: bool) -> dict[str, int]:
        return {"hidden_size": 2}

    def check(self, key: str) -> None:
        self.window.check(f"{key}.window")
        require(self.segment_length >= 1, f"{key}.segment_length", self.segment_length, "at least 1")
        require(self.hidden_size >= 2 and self.hidden_size % 2 == 0, f"{key}.hidden_size", self.hidden_size, "even")
        require_fraction(self.dropout, f"{key}.dropout")
        require(
            self.window.channels is Channels.independent,
            f"{key}.window.channels",
            "joint",
            "independent for this model",
        )
