"""Options of short debugging runs."""

from dataclasses import dataclass
from enum import Enum

from seqtrain.config.base import require


class DebugMode(Enum):
    """Kind of debugging run."""

    none = "none"
    overfit = "overfit"
    dry = "dry"
    profile = "profile"


@dataclass
class DebugConfig:
    """A short debugging run instead of the full one. ``debug=<mode>`` sets all options that the mode needs."""

    mode: DebugMode = DebugMode.none
    """``overfit`` trains on a few rows until the model has memorised them. ``dry`` runs every stage for a few steps.
    ``profile`` records the time of a few steps."""
    steps: int | None = None
    """Number of steps: the most that ``overfit`` makes, all that ``dry`` makes, or those that ``profile`` records after
    its warmup."""
    rows: int | None = None
    """Largest number of rows that ``overfit`` trains on; null takes a whole batch."""
    eval_batches: int | None = None
    """Number of batches of each split that ``dry`` scores."""

    def check(self, key: str) -> None:
        """Raise ConfigError if a value is set without a mode or is out of range."""
        off = self.mode is DebugMode.none
        for name in ("steps", "rows", "eval_batches"):
            value = getattr(self, name)
            require(value is None or not off, f"{key}.{name}", value, f"given with {key}=overfit, dry or profile")
            require(value is None or value >= 1, f"{key}.{name}", value, "at least 1")
        require(off or self.steps is not None, f"{key}.mode", self.mode.value, f"chosen by {key}={self.mode.value}")
