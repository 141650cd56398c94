"""Options of SegRNN."""

from dataclasses import dataclass, field

from seqtrain.config.base import ModelConfig, Targets, require, require_fraction
from seqtrain.config.sequence import Kernel
from seqtrain.config.window import Channels, WindowConfig, WindowNorm


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
