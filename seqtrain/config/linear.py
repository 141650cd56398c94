"""Options of the linear forecasters."""

from dataclasses import dataclass, field

from seqtrain.config.base import ModelConfig, Targets, require
from seqtrain.config.window import Channels, WindowConfig


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
