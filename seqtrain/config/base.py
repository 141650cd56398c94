"""The bases of every config node, and the checks that nodes share. Nothing here imports torch.

A node's class is found by its ``kind`` (see ``registry``); its ``name`` is that of its YAML file, for people to read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, ClassVar, Self

from omegaconf import MISSING

from seqtrain.errors import ConfigError


class Targets(StrEnum):
    """What is to be predicted: what data has, what a task predicts, and what a model is made for.

    A plugin may use another word of its own, the same for its data and its task.
    """

    sequence_class = "class"
    """A class of each sequence."""
    sequence_number = "number"
    """A number of each sequence."""
    step_labels = "labels"
    """A label of each step."""
    next_token = "next token"
    """The token after each step of running text."""
    future = "future"
    """The steps after a window of a series."""


@dataclass
class Node:
    """What every group's config has in common."""

    kind: str = MISSING
    """Registered kind: finds the schema, and the class that is built from it."""
    name: str = MISSING
    """Name of the YAML file, shown to people and used in the names of run directories."""

    def check(self, key: str) -> None:
        """Raise ConfigError where values contradict each other or leave their range; ``key`` is this node's path."""


@dataclass
class DataConfig(Node):
    """Where examples come from and how they are batched."""

    def for_model(self, model: "ModelConfig") -> Self:
        """The options that a model needs, where those of evaluation follow from how far it looks back."""
        return self


@dataclass
class TaskConfig(Node):
    """What is predicted: the head, the loss and the metrics."""


@dataclass
class ModelConfig(Node):
    """The network between inputs and features."""

    targets: ClassVar[str | None] = None
    """What alone the model can predict; None for one that serves several tasks."""

    def kernels(self) -> list[str]:
        """Compiled kernels that the model may use on the CPU, by name: they are made ready while data is read."""
        return []

    def attention_reach(self) -> int:
        """Steps before a step that its attention looks at, at the most; 0 without attention."""
        return 0

    def widths(self, causal: bool) -> dict[str, int]:
        """Keys of the sizes that ``budget.params`` solves for, and what each must be a multiple of; none, if it cannot.

        All sizes grow and shrink by one factor; the last one then makes up, alone, for what that leaves.

        Args:
            causal: the task predicts the next step.
        """
        return {"hidden_size": 1} if hasattr(self, "hidden_size") else {}


def require(holds: bool, key: str, value: Any, allowed: str) -> None:
    """Raise ConfigError naming the key, its value and what is allowed, unless ``holds``."""
    if not holds:
        raise ConfigError(f"{key}={value!r}: must be {allowed}")


def suggest(name: str, known: Iterable[str]) -> str:
    """A clause that names the closest known names, or else all of them."""
    known = sorted(known)
    close = get_close_matches(name, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"
