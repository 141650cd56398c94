"""Options of an attention layer."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from seqtrain.config.base import require, require_fraction


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
