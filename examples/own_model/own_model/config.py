"""Options of the model."""

from dataclasses import dataclass

from seqtrain.config.base import require
from seqtrain.config.sequence import SequenceConfig


@dataclass
class MinGRUConfig(SequenceConfig):
    """Embedding -> minGRU layers -> pooling; runs in both directions unless the task predicts the next step."""

    hidden_size: int = 128
    """Size of a layer's state, per direction."""
    num_layers: int = 2
    """Layers, one above the other: within one, no gate sees the state, so only a second one weighs what came before."""

    def check(self, key: str) -> None:
        super().check(key)
        require(self.hidden_size >= 1, f"{key}.hidden_size", self.hidden_size, "at least 1")
        require(self.num_layers >= 1, f"{key}.num_layers", self.num_layers, "at least 1")
