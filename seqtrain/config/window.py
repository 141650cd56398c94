"""How forecasters treat a window of a series."""

from dataclasses import dataclass
from enum import Enum

from seqtrain.config.base import require


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
