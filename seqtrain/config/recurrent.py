"""Options of the recurrent models."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from seqtrain.config.attention import AttentionConfig, Memory, Score
from seqtrain.config.base import require, require_fraction
from seqtrain.config.sequence import Kernel, SequenceConfig


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


class RecurrentInit(Enum):
    """Distribution of the initial recurrent matrices."""

    orthogonal = "orthogonal"
    xavier = "xavier"
    uniform = "uniform"


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
    dilations: list[int] | None = None
    """Distance between these steps, for each convolution. Null: powers of the largest base with which all convolutions
    together see at most a quarter of the longest row of train; 1 where this length is not known, as for texts."""
    scale_means: bool = True
    """Scale the means over time by their running mean and standard deviation, before the head. Means of ReLUs differ
    little between rows, so that the head learns slowly from them as they are. False: as in the papers."""

    def meaning(self) -> dict[str, Any]:
        return super().meaning() | {"kernel_sizes": self.kernel_sizes, "dilations": self.dilations}

    def widths(self, causal: bool) -> dict[str, int]:
        return {"filters": 1} | super().widths(causal)

    def check(self, key: str) -> None:
        super().check(key)
        for name in ("filters", "kernel_sizes", "dilations"):
            sizes = getattr(self, name)
            if sizes is None:
                continue
            require(len(sizes) > 0 and min(sizes) >= 1, f"{key}.{name}", sizes, "a list of sizes of at least 1")
            count = len(self.filters)
            require(len(sizes) == count, f"{key}.{name}", sizes, f"as many as {key}.filters ({count})")
