"""Options of runs that look for faults instead of scores."""

from dataclasses import dataclass
from enum import Enum

from seqtrain.config.base import require


class DebugMode(Enum):
    """What is looked for."""

    none = "none"
    overfit = "overfit"
    dry = "dry"
    profile = "profile"


@dataclass
class DebugConfig:
    """A short run in place of the whole one. The YAML of ``debug=<mode>`` sets all that the mode needs."""

    mode: DebugMode = DebugMode.none
    """``overfit`` trains on a few rows until it knows them by heart, ``dry`` does one step of everything, ``profile``
    measures a few steps."""
    steps: int | None = None
    """Most steps of ``overfit``, steps of ``dry``, steps that ``profile`` records after its warmup."""
    rows: int | None = None
    """Most rows of the batch that ``overfit`` learns; null takes the whole batch."""
    eval_batches: int | None = None
    """Batches of each split that ``dry`` scores."""

    def check(self, key: str) -> None:
        """Raise ConfigError where a value stands alone or leaves its range."""
        off = self.mode is DebugMode.none
        for name in ("steps", "rows", "eval_batches"):
            value = getattr(self, name)
            require(value is None or not off, f"{key}.{name}", value, f"given with {key}=overfit, dry or profile")
            require(value is None or value >= 1, f"{key}.{name}", value, "at least 1")
        require(off or self.steps is not None, f"{key}.mode", self.mode.value, f"chosen by {key}={self.mode.value}")
